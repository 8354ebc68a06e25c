"""The top of the command line: the table of commands, global options, errors.

Each command is in a module of its own, which is imported when it is run: ``mlgit log``
starts as fast as it can only if nothing else is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from mlgit import __version__
from mlgit.cli import errors
from mlgit.cli.lazy import LazyGroup
from mlgit.cli.output import safe
from mlgit.exceptions import MlgitException, NotARepository, from_os_error

COMMANDS = {
    "init": ("mlgit.cli.init:init", "Make a Git repository, or check that this is one."),
    "log": ("mlgit.cli.log:log", "List runs, newest first."),
    "search": ("mlgit.cli.log:search", "List the runs that a filter matches."),
    "show": ("mlgit.cli.show:show", "Show everything about a run."),
    "diff": ("mlgit.cli.diff:diff", "Compare two runs, or other revisions."),
    "report": ("mlgit.cli.report:report", "Report what a branch changes, for its reviewers."),
    "status": ("mlgit.cli.status:status", "Show what is going on in this repository."),
    "runs": ("mlgit.cli.runs:runs", "List, rename, tag, delete and restore runs."),
    "experiments": (
        "mlgit.cli.experiments:experiments",
        "List, create, rename, delete and restore experiments.",
    ),
    "artifacts": ("mlgit.cli.artifacts:artifacts", "List, download and log artifacts of runs."),
    "models": ("mlgit.cli.models:models", "List, show, register, try and run models."),
    "promote": ("mlgit.cli.promotion:promote", "Give a version of a model a stage or an alias."),
    "demote": ("mlgit.cli.promotion:demote", "Take a version of a model out of a stage."),
    "rollback": (
        "mlgit.cli.promotion:rollback",
        "Give a stage or an alias back to the version before.",
    ),
    "registry": ("mlgit.cli.registry:registry", "Check the registry's tags."),
    "ui": ("mlgit.cli.ui:ui", "Show experiments and runs in the browser."),
    "push": ("mlgit.cli.sync:push", "Push runs, and the artifacts that they name."),
    "fetch": ("mlgit.cli.sync:fetch", "Fetch runs; artifacts where they are asked for."),
    "pull": ("mlgit.cli.sync:pull", "Fetch runs and their artifacts."),
    "clone": ("mlgit.cli.sync:clone", "Clone a Git repository with its runs."),
    "remote": ("mlgit.cli.remote:remote", "Say where artifacts and data are shared."),
    "add": ("mlgit.cli.add:add", "Keep files and folders as data."),
    "checkout": ("mlgit.cli.checkout:checkout", "Bring data to what its pointers say."),
    "import-url": ("mlgit.cli.imports:import_url", "Keep what a URL names as data."),
    "update": ("mlgit.cli.imports:update", "Load imported data again where it has changed."),
    "get": ("mlgit.cli.get:get", "Write a file or folder of another repository."),
    "install": ("mlgit.cli.install:install", "Have Git bring data along, by hooks."),
    "hook": ("mlgit.cli.install:hook", "Do what a hook of 'mlgit install' is for."),
    "merge-driver": (
        "mlgit.cli.drivers:merge_driver",
        "Merge a file of a record, for 'git merge'.",
    ),
    "diff-driver": (
        "mlgit.cli.drivers:diff_driver",
        "Show what changed in a file of a record, for 'git diff'.",
    ),
    "archive": (
        "mlgit.cli.archive:archive",
        "Fold runs that have ended into one ref per experiment.",
    ),
    "gc": ("mlgit.cli.gc:gc", "Remove objects that nothing names any more."),
    "du": ("mlgit.cli.du:du", "Show what takes the space."),
    "fsck": ("mlgit.cli.fsck:fsck", "Check that everything that was logged can be read."),
    "reindex": ("mlgit.cli.reindex:reindex", "Throw the index away and make it again."),
    "completion": ("mlgit.cli.completion:completion", "Print a script that completes commands."),
}


class Root(LazyGroup):
    """The ``mlgit`` command: every error ends here, as a message and an exit code."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command line and exit with its code."""
        sys.exit(self.run(args, complete_var, **extra))

    def run(self, args: Sequence[str] | None, complete_var: str | None, **extra: Any) -> int:
        """Run a command line and return its exit code."""
        try:
            result = super().main(args, "mlgit", complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
            return result if isinstance(result, int) else errors.OK
        except click.Abort:
            return errors.INTERRUPTED  # click has written the newline
        except BrokenPipeError:
            return _pipe_closed()
        except SystemExit as error:
            # click's own answer to a pipe that was closed while it printed help
            if isinstance(error.__context__, BrokenPipeError):
                return _pipe_closed()
            raise
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return errors.USAGE
        except (MlgitException, click.ClickException) as error:
            return _report(error)
        except OSError as error:
            return _report(from_os_error(error, "do that"))
        except Exception as error:
            import traceback

            traceback.print_exc()
            return _report(error)
        finally:
            _discard_unwritten()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; who stops reading its output early has seen enough."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(_pipe_closed())


def _pipe_closed() -> int:
    return errors.OK


def _discard_unwritten() -> None:
    """Let what can't be written go nowhere: Python flushes once more when it exits."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            pass


def _report(error: Exception) -> int:
    message, hint = errors.explain(error)
    if isinstance(error, NotARepository) and "mlgit init" not in hint:
        hint = f"{hint}; mlgit init makes a repository".removeprefix("; ")
    color = sys.stderr.isatty()
    click.echo(_titled("error", "red", color) + safe(message), err=True, color=color)
    if hint:
        click.echo(_titled("hint", "yellow", color) + safe(hint), err=True, color=color)
    return errors.exit_code(error)


def _titled(title: str, color: str, colored: bool) -> str:
    from mlgit import settings

    wanted = colored and not settings.no_color()
    return (click.style(f"{title}:", fg=color, bold=True) if wanted else f"{title}:") + " "


@click.group(
    cls=Root,
    commands_table=COMMANDS,
    unlisted=("hook", "merge-driver", "diff-driver"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="mlgit", message="%(prog)s %(version)s")
@click.option(
    "-C",
    "directory",
    metavar="PATH",
    multiple=True,
    help="Run as if started in PATH; may be repeated, each relative to the one before.",
)
@click.option("--tracking-uri", metavar="URI", help="The repository to work on: a path or URI.")
@click.option("--no-pager", is_flag=True, help="Don't show long output in a pager.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Whether to use colours; auto: on a terminal, unless NO_COLOR is set.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print data and errors only.")
@click.pass_context
def cli(
    ctx: click.Context,
    directory: tuple[str, ...],
    tracking_uri: str | None,
    no_pager: bool,
    color: str,
    quiet: bool,
) -> None:
    """Experiment tracking kept in your own Git repository.

    A RUN is given as its id or the beginning of it, its name, @{0} for the newest run,
    @{1} for the one before, or a ref. Exit codes are listed in docs/errors.md.
    """
    from mlgit.cli.context import App
    from mlgit.cli.output import Output

    for path in directory:
        try:
            os.chdir(path)
        except OSError as error:
            raise click.UsageError(f"Can't change to '{path}': {error.strerror}", ctx) from error
    app = App(Output(color, not no_pager, quiet), tracking_uri)
    ctx.obj = app
    ctx.call_on_close(app.close)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The console script."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        try:
            print(f"mlgit {__version__}", flush=True)
            return
        except OSError:
            pass  # the long way tells
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows escapes for what it lacks.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
    cli()
