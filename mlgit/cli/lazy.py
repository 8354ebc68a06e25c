"""A group of commands whose modules are imported when a command is really run."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by a table.

    Args:
        commands_table: name → ("module:attribute", one line of help). The help stands here
            too, so that ``--help`` imports nothing.
        unlisted: The names of those that programs run, and not people.
    """

    def __init__(
        self,
        *args: Any,
        commands_table: Mapping[str, tuple[str, str]],
        unlisted: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.unlisted = unlisted
        self.commands_table = commands_table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, in the table's order."""
        return list(self.commands_table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, imported now."""
        if cmd_name not in self.commands_table:
            return None
        module, _, attribute = self.commands_table[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or say which one was meant."""
        check_command(self, ctx, args)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands, from the table."""
        with formatter.section("Commands"):
            rows = [(name, row[1]) for name, row in self.commands_table.items()]
            formatter.write_dl([row for row in rows if row[0] not in self.unlisted])


class Group(click.Group):
    """A group of commands of one noun; it answers a wrong one as the top does."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or say which one was meant."""
        check_command(self, ctx, args)
        return super().resolve_command(ctx, args)


def check_command(group: click.Group, ctx: click.Context, args: list[str]) -> None:
    """Check that the first argument is a command of the group.

    Raises:
        UsageError: It isn't; the message names those that are.
    """
    known = group.list_commands(ctx)
    if ctx.resilient_parsing or not args or args[0] in known:
        return
    import difflib

    close = difflib.get_close_matches(args[0], known, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    raise click.UsageError(
        f"'{args[0]}' isn't a command of {ctx.command_path}.{guess}\nCommands: {', '.join(known)}",
        ctx,
    )
