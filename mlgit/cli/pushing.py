"""``--push``: what every command that writes the registry's tags does where it is asked to."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.context import App
from mlgit.cli.options import shared
from mlgit.cli.output import one_line, plural, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlgit.registry.replaying import Renumbered, Replayed
    from mlgit.registry.writer import Signer
    from mlgit.sync.crossing import HeldBack
    from mlgit.sync.push import Progress, Pushed

# What ``--push`` without a remote gives.
_DEFAULT = ""
_NOT_PUSHED = "It is done in this clone, and not pushed"
_IN_PART = "It is done in this clone, and pushed but in part"

_NO_RENUMBER = click.option(
    "--no-renumber",
    is_flag=True,
    help="Refuse where a version of yours would have to get another number.",
)


# What may become of tags that others crossed.
crossing_options = shared(
    _NO_RENUMBER,
    click.option(
        "--sign", is_flag=True, help="Sign tags again that were signed and have to be made again."
    ),
)
# What ``asked`` takes: the arguments ``push`` and ``no_renumber``.
push_options = shared(
    click.option(
        "--push",
        metavar="[GIT_REMOTE]",
        is_flag=False,
        flag_value=_DEFAULT,
        help="Push what was written; to the branch's remote, or origin, where none is named.",
    ),
    _NO_RENUMBER,
)


@dataclass(frozen=True)
class Push:
    """What ``--push`` and ``--no-renumber`` ask for; made by ``asked``.

    Attributes:
        remote: The Git remote; "" for the one that is meant, None where nothing is pushed.
        renumber: Whether versions may get other numbers.
    """

    remote: str | None
    renumber: bool

    def written(self, app: App, models: Collection[str], *, sign: bool = False) -> dict[str, Any]:
        """Push what a command wrote; what is to be known of it goes to stderr.

        Args:
            app: What the command works on.
            models: The models that were written about.
            sign: Whether tags that have to be made again are signed again in any case.

        Returns:
            What JSON tells of it; nothing where nothing is asked for.

        Raises:
            What ``push_registry`` raises; the tags are in this clone all the same, and what was
            pushed is told.
        """
        if self.remote is None:
            return {}
        from mlgit.exceptions import MlgitException
        from mlgit.store.registry_tags import TAGS
        from mlgit.sync.registry import problem_of, try_to_push

        try:
            done = try_to_push(
                app.open(),
                self.remote or None,
                models,
                self.renumber,
                sign=signer(app, sign),
                show=shown(app),
            )
        except MlgitException as error:
            error.message = f"{_NOT_PUSHED}: {error.message}"
            raise
        held = [] if (problem := problem_of(done)) else done.held
        tell_crossed(app, done.renumbered, done.replayed, held)
        tell_torn(app, done)
        count = plural(len(done.refs), "ref")
        if problem is not None:
            in_part = any(ref.startswith(TAGS) for ref in done.refs)
            if in_part:
                app.out.note(f"Pushed {count} to {one_line(done.remote)}")
            problem.message = f"{_IN_PART if in_part else _NOT_PUSHED}: {problem.message}"
            raise problem
        app.out.note(
            f"Pushed {count} to {one_line(done.remote)}"
            if done.refs
            else f"Everything is at {one_line(done.remote)} already"
        )
        crossed = crossed_json(done.renumbered, done.replayed, done.held)
        return {"pushed": {"remote": done.remote, "refs": sorted(done.refs), **crossed}}


def asked(push: str | None, no_renumber: bool, *, dry_run: bool = False) -> Push:
    """What the options of ``push_options`` ask for.

    Raises:
        UsageError: --no-renumber is given alone.
    """
    if no_renumber and push is None:
        raise click.UsageError("--no-renumber is about --push: give it too")
    return Push(None if dry_run else push, not no_renumber)


def signer(app: App, sign: bool) -> Signer | None:
    """What signs tags that have to be made again; None leaves it to Git's configuration."""
    if not sign:
        return None
    from mlgit.git import signing

    return signing.signer(app.open().repo)


def shown(app: App) -> Any:
    """Shows how far a job is, from its title."""

    def show(what: str) -> AbstractContextManager[Progress]:
        return app.out.progress(
            what, in_bytes=what in ("Uploading artifacts", "Downloading artifacts")
        )

    return show


# -- telling


def tell_crossed(
    app: App,
    renumbered: Sequence[Renumbered],
    replayed: Sequence[Replayed],
    held: Sequence[HeldBack],
) -> None:
    """Tell what became of tags that others were faster with."""
    from mlgit.sync.crossing import lines

    for line in lines(list(renumbered), list(replayed)):
        app.out.note(one_line(line))
    for model in held:
        app.out.note(f"{safe(model.message)}\n  {safe(model.hint)}")


def tell_torn(app: App, done: Pushed) -> None:
    """Tell that a remote didn't take the registry's refs all or none."""
    if done.torn:
        app.out.note(
            f"{one_line(done.remote)} can't take refs all or none: they were pushed one by one"
        )


def crossed_json(
    renumbered: Sequence[Renumbered], replayed: Sequence[Replayed], held: Sequence[HeldBack]
) -> dict[str, Any]:
    """The same as data."""
    return {
        "renumbered": [
            {"model": r.model, "from": r.old, "to": r.new, "holder": r.holder} for r in renumbered
        ],
        "replayed": [
            {"model": r.model, "from": r.tag, "to": r.now, "version": r.version} for r in replayed
        ],
        "held_back": [{"model": h.model, "message": h.message, "hint": h.hint} for h in held],
    }
