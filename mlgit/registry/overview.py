"""All models on one page: what ``mlgit models list`` shows, by a few queries however many."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from mlgit.registry import rows, search
from mlgit.registry.state import NO_STAGE
from mlgit.registry.tags import Event


@dataclass
class Listed:
    """One model of the list. Times are in milliseconds since 1970.

    Attributes:
        key: How tags spell its name.
        created, updated: When it was made, and when it changed last but for aliases, as in MLflow.
        count: How many versions it has.
        latest: The highest of them; None where it has none.
        stages: The versions in each stage that has some, the one put there last first.
        aliases: Version numbers by alias.
        last: Its last tag; None where it has none.
    """

    key: str
    name: str
    created: int
    updated: int
    description: str | None
    tags: dict[str, str] = field(default_factory=dict)
    count: int = 0
    latest: int | None = None
    stages: dict[str, list[int]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    last: Event | None = None

    @property
    def changed(self) -> int:
        """When anything of it changed last: versions, stages, aliases or text."""
        return max(self.updated, self.last.time if self.last else 0)


def listed(
    connection: sqlite3.Connection, filter_string: str = "", limit: int | None = None
) -> list[Listed]:
    """The models that a filter matches, by name.

    Args:
        connection: The index.
        filter_string: As of ``search_registered_models``.
        limit: The most to give; all where None.

    Raises:
        FilterError: The filter doesn't parse.
    """
    compiled = search.models(filter_string, None, -1 if limit is None else limit, 0)
    keys = [row[0] for row in connection.execute(compiled.text, compiled.args)]
    found = {
        row[0]: Listed(*row)
        for row in connection.execute(
            "SELECT key, name, creation_timestamp, last_updated_timestamp, description "
            "FROM registered_models WHERE present"
        )
    }
    for key, count, latest in connection.execute(
        "SELECT model, count(*), max(version_number) FROM model_versions GROUP BY model"
    ):
        found[key].count, found[key].latest = count, latest
    for key, stage, number in connection.execute(
        "SELECT model, current_stage, version_number FROM model_versions "
        "WHERE current_stage != ? ORDER BY stage_at DESC",
        (NO_STAGE,),
    ):
        found[key].stages.setdefault(stage, []).append(number)
    for key, alias, number in connection.execute(
        "SELECT model, alias, version_number FROM aliases ORDER BY model, alias"
    ):
        found[key].aliases[alias] = number
    for key, tag, value in connection.execute(
        "SELECT model, key, value FROM registered_model_tags ORDER BY model, key"
    ):
        found[key].tags[tag] = value
    for key in keys:
        found[key].last = rows.last_event(connection, key)
    return [found[key] for key in keys]
