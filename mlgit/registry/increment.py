"""One new tag, taken over without a replay of its model's other tags.

What is written here is what ``replay`` would give: a test holds the two together. Where that
isn't plain to see, nothing is done, and the model is replayed.
"""

from __future__ import annotations

import sqlite3

from mlgit.git import Repository
from mlgit.registry import rows
from mlgit.registry.state import (
    NO_STAGE,
    changes_alias,
    commits_of,
    held_stages,
    new_version,
    version_meant,
)
from mlgit.registry.tags import ASSIGN, DEREGISTER, REGISTER, TAGS, UNASSIGN, Event
from mlgit.store import spelling


def apply(connection: sqlite3.Connection, repo: Repository, key: str, event: Event) -> bool:
    """Bring the rows of a model up to date with one new tag, which ``events`` has already.

    Args:
        connection: The index.
        repo: The repository.
        key: The model's key.
        event: The tag; its ref wasn't there before.

    Returns:
        Whether that is done; if not, nothing was changed.
    """
    row = connection.execute(
        "SELECT name, creation_timestamp FROM registered_models WHERE key=? AND present", (key,)
    ).fetchone()
    # Where the name was cut, the first tag that tells it gives the model its name; an event
    # before all others (a clock that runs backwards) makes the model older.
    if row is None or spelling.is_cut(key) or event.time < row[1]:
        return False
    if event.name.event == REGISTER:
        done = _register(connection, repo, key, row[0], event)
    elif event.name.event == DEREGISTER:
        done = _deregister(connection, key, event)
    else:
        done = event.name.event in (ASSIGN, UNASSIGN) and _assign(connection, key, event)
    if done and (event.name.version or event.stage is not None):
        connection.execute(
            "UPDATE registered_models SET last_updated_timestamp=max(last_updated_timestamp, ?) "
            "WHERE key=?",
            (event.time, key),
        )
    return done


def _register(
    connection: sqlite3.Connection, repo: Repository, key: str, name: str, event: Event
) -> bool:
    number = event.name.number
    if number is None or len(_words(connection, key, number)) > 1:
        return False
    if len(_at(connection, key, event.commit)) > 1:
        return False  # the commit carries another, or was assigned to before
    text = rows.text_of(connection, key)[1]
    rows.put_version(connection, repo, key, name, new_version(number, event, text))
    return True


def _deregister(connection: sqlite3.Connection, key: str, event: Event) -> bool:
    number = event.name.number
    row = connection.execute(
        "SELECT id FROM model_versions WHERE model=? AND version_number=?", (key, number)
    ).fetchone()
    if number is None or row is None:
        return False
    words = _words(connection, key, number)
    if any(word.order >= event.order for word in words if word.tag != event.tag):
        return False
    for carried in {word.commit for word in words}:
        if len(commits_of(_at(connection, key, carried)).get(carried, [])) > 1:
            return False  # what is reported of a commit with two versions changes
    held = connection.execute(
        "SELECT 1 FROM aliases WHERE model=? AND version_number=?", (key, number)
    ).fetchone()
    more = connection.execute(
        "SELECT count(*) FROM model_versions WHERE model=?", (key,)
    ).fetchone()
    if held or more[0] == 1:
        return False  # who had the alias before has it again; a model may end with its last one
    connection.execute("DELETE FROM model_version_tags WHERE version=?", row)
    connection.execute("DELETE FROM model_versions WHERE id=?", row)
    return True


def _assign(connection: sqlite3.Connection, key: str, event: Event) -> bool:
    last = connection.execute(
        "SELECT max(count) FROM events WHERE key=? AND ref!=?", (key, TAGS + event.tag)
    ).fetchone()[0]
    if event.name.count <= (last or 0):
        return False
    carried = _carried(connection, key, event.commit)
    number = version_meant(event, carried)
    if number is None or len({w.commit for w in _words(connection, key, number)}) > 1:
        return False  # of no version, or of one that has tags on other commits, too
    row = connection.execute(
        "SELECT id, current_stage, stage_at FROM model_versions WHERE model=? AND version_number=?",
        (key, number),
    ).fetchone()
    if row is None:
        return True  # of a version that is deleted
    if not _move_alias(connection, key, number, event):
        return False
    if event.stage is not None:
        stage, at = row[1:]
        if event.name.event == ASSIGN:
            stage, at = event.stage, event.name.count
        elif stage == event.stage:  # the one that it was in before counts again
            at_commit = rows.deciding_events(connection, "target=? AND key=?", event.commit, key)
            stages = held_stages(at_commit, carried, number)
            stage = next(reversed(stages), NO_STAGE)
            at = stages[stage].name.count if stages else None
        connection.execute(
            "UPDATE model_versions SET current_stage=?, stage_at=?, "
            "last_updated_timestamp=max(last_updated_timestamp, ?) WHERE id=?",
            (stage, at, event.time, row[0]),
        )
    return True


def _move_alias(connection: sqlite3.Connection, key: str, number: int, event: Event) -> bool:
    if not changes_alias(event):
        return True
    if event.stage is None and event.name.event == ASSIGN:
        connection.execute(
            "INSERT OR REPLACE INTO aliases VALUES (?,?,?,?)",
            (key, event.alias, number, event.tag),
        )
        return True
    held = connection.execute(
        "SELECT version_number FROM aliases WHERE model=? AND alias=?", (key, event.alias)
    ).fetchone()
    return held is None or held[0] != number  # else who had it before has it again


def _words(connection: sqlite3.Connection, key: str, number: int) -> list[Event]:
    """The tags that register or delete a version."""
    ref = f"{TAGS}{key}@v{number}.0.0"
    # "$" comes after "!" and "#", which may follow.
    return rows.events_where(connection, "ref>=? AND ref<?", ref, f"{ref}$")


def _carried(connection: sqlite3.Connection, key: str, commit: str) -> list[int]:
    """The versions that a commit carries, or carried."""
    first, end = f"{TAGS}{key}@v", f"{TAGS}{key}@w"
    condition = "target=? AND key=? AND ref>=? AND ref<?"
    found = rows.events_where(connection, condition, commit, key, first, end)
    return commits_of(found).get(commit, [])


def _at(connection: sqlite3.Connection, key: str, commit: str) -> list[Event]:
    """The model's tags of one commit."""
    return rows.events_where(connection, "target=? AND key=?", commit, key)
