"""The top: options, errors and exit codes, what is imported, the reference."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import mlgit
from mlgit import exceptions
from mlgit.cli import errors, main
from mlgit.cli.reference import reference

ROOT = Path(mlgit.__file__).parents[1]
HEAVY = {"dulwich", "yaml", "pandas", "numpy", "flask", "fsspec", "s3fs", "hypothesis", "asyncio"}


@pytest.mark.parametrize(
    "command",
    [
        ["log"], ["search", "x"], ["show"], ["status"], ["runs", "list"], ["runs", "delete", "x"],
        ["experiments", "list"], ["experiments", "create", "x"], ["artifacts", "list", "x"],
        ["fsck"], ["reindex"],
    ],
)  # fmt: skip
def test_outside_a_repository(run, command):
    result = run(*command, code=128)
    assert result.stderr.startswith("error: ") and "mlgit init" in result.stderr
    assert result.stdout == ""


def test_what_needs_no_repository(run):
    assert run("--version").stdout.startswith("mlgit ")
    assert "Commands:" in run("--help").stdout
    assert "Commands:" in run().stdout
    for shell in ("bash", "zsh", "fish"):
        assert "_MLGIT_COMPLETE" in run("completion", shell).stdout


def test_tracking_uri_and_directory(run, data, three, repo, monkeypatch):
    monkeypatch.chdir(repo.parent)
    assert len(data("--tracking-uri", str(repo), "log", "--json")) == 3
    assert len(data("-C", str(repo), "log", "--json")) == 3
    run("-C", "nowhere", "log", code=2)
    run("--tracking-uri", "postgresql://x/y", "log", code=6)


def test_unknown_commands(run):
    assert "Did you mean 'log'?" in run("lgo", code=2).stderr
    error = run("runs", "lst", code=2).stderr
    assert "Did you mean 'list'?" in error and "restore" in error
    assert "Did you mean" in run("log", "--colum", "x", code=2).stderr


def test_help_in_the_table_is_the_commands(three):
    context = click.Context(main.cli)
    for name, (_, text) in main.COMMANDS.items():
        assert main.cli.get_command(context, name) is not None
        assert text.endswith(".") and len(text) < 70


def test_every_error_code_has_an_exit_code():
    assert set(errors.EXIT_CODES) == set(exceptions.HTTP_STATUS)
    assert set(errors.EXIT_CODES.values()) <= set(errors.MEANINGS)


def test_docs_list_every_exit_code_and_error():
    text = (ROOT / "docs/errors.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.M))
    assert rows == {str(code): meaning for code, meaning in errors.MEANINGS.items()}
    for code, status in exceptions.HTTP_STATUS.items():
        row = re.search(rf"^\| `{code}` \|[^|]*\| (\d+) \| (\d+) \|$", text, re.M)
        assert row and row.groups() == (str(errors.EXIT_CODES[code]), str(status)), code


def test_the_reference_is_current():
    text = (ROOT / "docs/cli.md").read_text()
    assert text == reference(), "run: python -m mlgit.cli.reference > docs/cli.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.NotARepository("x"), 128),
        (exceptions.ResourceDoesNotExist("x"), 3),
        (exceptions.MlgitException("x"), 70),
        (exceptions.MlgitException("x", "SOMETHING_NEW"), 70),
        (PermissionError(13, "no"), 7),
        (KeyboardInterrupt(), 130),
        (RuntimeError("bug"), 70),
    ],
)
def test_exit_codes(run, repo, monkeypatch, error, code):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("mlgit.cli.context.App.store", fail)
    result = run("log", code=code)
    assert result.stdout == ""
    assert ("Traceback" in result.stderr) == isinstance(error, RuntimeError)


def test_an_error_cant_drive_the_terminal(run, three):
    assert "\x1b" not in run("show", "\x1b[2Jnope", code=3).stderr


def _imported(spawn, *command: str) -> set[str]:
    code = (
        "import sys\nfrom mlgit.cli.main import main\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    result = spawn(*command, python=code)
    assert result.returncode == 0, result.stderr
    return set(result.stderr.split())


def test_little_is_imported(spawn, run, three):
    run("log")
    assert not _imported(spawn, "--version") & (HEAVY | {"tabulate", "sqlite3"})
    assert not _imported(spawn, "--help") & (HEAVY | {"tabulate", "sqlite3"})
    assert not _imported(spawn, "log", "-n", "10") & HEAVY
    assert not _imported(spawn, "log", "--json") & (HEAVY | {"tabulate"})


def test_colour(run, three, monkeypatch):
    assert "\x1b[" not in run("log").stdout
    assert "\x1b[" in run("--color", "always", "log").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("--color", "auto", "log").stdout


def test_a_reader_that_stops_early(three):
    command = f"{sys.executable} -m mlgit log --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.stdout == "[0\n" and result.stderr == ""


def test_the_shell_completes_commands_and_runs(spawn, three, monkeypatch):
    monkeypatch.setenv("_MLGIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "mlgit show al")
    monkeypatch.setenv("COMP_CWORD", "2")
    code = "from mlgit.cli.main import main; main()"
    assert spawn(python=code).stdout.splitlines() == ["plain,alpha"]


def test_the_module_runs(spawn):
    result = spawn("--version")
    assert result.stdout == f"mlgit {mlgit.__version__}\n"


def test_ctrl_c_while_modules_are_imported(tmp_path: Path) -> None:
    """The command line's modules take a while to be imported: nothing is begun by then."""
    (tmp_path / "click.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.path.dirname(os.path.dirname(mlgit.__file__))])
    process = subprocess.Popen(
        [sys.executable, "-m", "mlgit", "log"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT and stderr == ""
