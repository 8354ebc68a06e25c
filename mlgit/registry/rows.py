"""Rows of the registry's index: from events and states, and back."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any

from mlgit.entities.model_registry import ModelVersion, RegisteredModel
from mlgit.exceptions import MlgitException
from mlgit.git import Repository
from mlgit.git.commits import parse_commit
from mlgit.registry.state import ModelState, Version, replay
from mlgit.registry.tags import TAGS, Event, TagName, looks_meant, parse_name, read_event
from mlgit.registry.targets import Target
from mlgit.registry.text import ModelText, format_text, key_of, parse_text, read_text, ref_of
from mlgit.store import spelling
from mlgit.store.modeltag import logged
from mlgit.store.runtree import RunTree

_VERSION = (
    "id, name, version_number, creation_timestamp, last_updated_timestamp, description, "
    "user_id, current_stage, source_path, run_id, run_link, commit_sha, model"
)


# -- what refs say


def model_of_ref(ref: str) -> str:
    """The key of the model that a ref is about; "" where it is the registry's for none."""
    if not ref.startswith(TAGS):
        return key_of(ref)
    name = parse_name(ref[len(TAGS) :])
    return name.key if name else ""


def put_tag(
    connection: sqlite3.Connection,
    repo: Repository,
    ref: str,
    sha: str,
    loose: bool,
    present: set[str],
) -> Event | None:
    """Take over a tag.

    Args:
        connection: The index.
        repo: The repository.
        ref: The tag's ref.
        sha: What it holds.
        loose: Whether it is a file of its own.
        present: Commits that are known to be there; more are put in.

    Returns:
        The tag; None where it can't be used, or isn't the registry's.
    """
    tag = ref[len(TAGS) :]
    name = parse_name(tag)
    if name is None:
        if looks_meant(tag):
            problem = "its name isn't one that GTO knows: letters, digits and -_/"
            _put_event(connection, ref, sha, "", TagName("", ""), None, problem, loose)
        return None
    event: Event | None = None
    unreadable: str | None = None
    try:
        event = read_event(repo, name, tag, sha, present)
    except MlgitException as error:
        unreadable = error.message
    _put_event(connection, ref, sha, name.key, name, event, unreadable, loose)
    return event


def _put_event(
    connection: sqlite3.Connection,
    ref: str,
    sha: str,
    key: str,
    name: TagName,
    event: Event | None,
    problem: str | None,
    loose: bool,
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            ref,
            sha,
            key,
            name.count,
            event.at if event else 0,
            event.commit if event else None,
            event.person if event else None,
            json.dumps(event.message) if event else None,
            event.signed if event else None,
            problem,
            loose,
        ),
    )


def put_text(
    connection: sqlite3.Connection, repo: Repository, ref: str, sha: str, loose: bool
) -> str:
    """Take over a model's text; its key."""
    key = key_of(ref)
    data, problem = None, None
    try:
        data = format_text(read_text(repo, sha)).decode()
    except MlgitException as error:
        problem = error.message
    connection.execute(
        "INSERT OR REPLACE INTO texts VALUES (?,?,?,?,?,?)", (ref, sha, key, data, problem, loose)
    )
    return key


_EVENT = "ref, sha, target, at, person, message, signed"


def events_of(connection: sqlite3.Connection, key: str) -> list[Event]:
    """A model's tags, those that can't be used left out."""
    return events_where(connection, "key=?", key)


def events_where(connection: sqlite3.Connection, condition: str, *args: object) -> list[Event]:
    """The tags that a condition on their rows selects, those that can't be used left out."""
    query = f"SELECT {_EVENT} FROM events WHERE problem IS NULL AND {condition}"
    found = (_event_of(row) for row in connection.execute(query, args))
    return [event for event in found if event is not None]


def deciding_events(connection: sqlite3.Connection, condition: str, *args: object) -> list[Event]:
    """As ``events_where``, without the changes of stages that later ones overrule.

    What a version was given and lost often is decided by the last word, and to read all of them
    would be most of the work. The times of those that are left out don't count.
    """
    query = f"SELECT {_EVENT}, count FROM events WHERE problem IS NULL AND {condition}"
    found = connection.execute(query, args).fetchall()
    carried = Counter(row[2] for row in found if "@v" in row[0] and "!" not in row[0])
    last: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in found:
        about = (row[0],) if carried[row[2]] > 1 else _decides_on(row)
        if about not in last or _order(row) > _order(last[about]):
            last[about] = row
    events = (_event_of(row[:-1]) for row in last.values())
    return [event for event in events if event is not None]


def _decides_on(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of which tags, by the row, only the last counts; the tag itself where it isn't so simple."""
    ref, target, message = row[0], row[2], row[5]
    said, _, _ = ref.rpartition("#")
    if "#" not in said or '"alias"' in message:
        return (ref,)
    return target, said.rstrip("!"), '"format"' in message


def _order(row: tuple[Any, ...]) -> tuple[int, int, bool]:
    return row[-1], row[3], "!" in row[0]  # Event.order


def last_event(connection: sqlite3.Connection, key: str) -> Event | None:
    """A model's last tag by the tagger's date; None where it has none."""
    found = events_where(connection, "key=? ORDER BY at DESC, count DESC LIMIT 1", key)
    return found[0] if found else None


def _event_of(row: tuple[Any, ...]) -> Event | None:
    ref, sha, target, at, person, message, signed = row
    tag = ref[len(TAGS) :]
    name = parse_name(tag)
    if name is None:
        return None
    return Event(tag, sha, name, target, at, person, json.loads(message), bool(signed))


def text_of(connection: sqlite3.Connection, key: str) -> tuple[str | None, ModelText | None]:
    """The commit of a model's text, and the text; None for what isn't there or can't be read."""
    row = connection.execute("SELECT sha, data FROM texts WHERE key=?", (key,)).fetchone()
    if row is None:
        return None, None
    return row[0], parse_text(row[1].encode(), key) if row[1] is not None else None


def state_of(connection: sqlite3.Connection, key: str) -> ModelState:
    """A model's state, from the tags and the text that the index has."""
    return replay(key, events_of(connection, key), text_of(connection, key)[1])


def state_about(
    connection: sqlite3.Connection, key: str, number: int, target: Target
) -> ModelState:
    """A model's state as far as it goes to give a version a stage or an alias.

    Args:
        connection: The index.
        key: The model's key.
        number: The version.
        target: What it is to get.

    Returns:
        The state with this version, those that have the stage or the alias, and of a stage the one
        that was archived last: what a version has is told by its own commit's tags. Of a model
        with a version that was registered more than once, which may be on several commits, all
        of it.
    """
    first, end = f"{TAGS}{key}@v", f"{TAGS}{key}@w"
    again = "SELECT 1 FROM events WHERE ref>=? AND ref<? AND instr(ref, '#') LIMIT 1"
    if connection.execute(again, (first, end)).fetchone():
        return state_of(connection, key)
    of_model = "SELECT commit_sha FROM model_versions WHERE model=? AND "
    if target.is_stage:
        commits = (
            f"{of_model} (version_number=? OR current_stage=?) UNION ALL "
            f"SELECT * FROM ({of_model} current_stage='Archived' ORDER BY stage_at DESC LIMIT 1)"
        )
        args: tuple[object, ...] = (key, number, target.name, key)
    else:
        holder = "SELECT version_number FROM aliases WHERE model=? AND alias=?"
        commits = f"{of_model} (version_number=? OR version_number=({holder}))"
        args = (key, number, key, target.name)
    events = deciding_events(connection, f"key=? AND target IN ({commits})", key, *args)
    return replay(key, events, text_of(connection, key)[1])


# -- what they mean


def put_model(
    connection: sqlite3.Connection, repo: Repository, key: str, events: list[Event] | None = None
) -> None:
    """Bring the rows of one model up to date with its tags and text.

    Args:
        connection: The index.
        repo: The repository.
        key: The model's key; nothing is done for "".
        events: Its tags; those in the index where they aren't given.
    """
    if not key:
        return
    before = connection.execute(
        "SELECT wanted FROM registered_models WHERE key=?", (key,)
    ).fetchone()
    _put_state(connection, repo, key, events)
    if before is not None:
        for other in _wanting(connection, before[0]):
            if other != key:
                _put_state(connection, repo, other)


def _wanting(connection: sqlite3.Connection, name: str) -> list[str]:
    return [
        row[0]
        for row in connection.execute(
            "SELECT key FROM registered_models WHERE wanted=? AND present", (name,)
        )
    ]


def _put_state(
    connection: sqlite3.Connection, repo: Repository, key: str, events: list[Event] | None = None
) -> None:
    _drop(connection, key)
    if events is None:
        events = events_of(connection, key)
    _, text = text_of(connection, key)
    if not events and text is None:
        return
    state = replay(key, events, text)
    name = _name(connection, repo, state)
    connection.execute(
        "INSERT INTO registered_models VALUES (?,?,?,?,?,?,?)",
        (
            key,
            name,
            state.name,
            state.exists,
            state.creation_time,
            state.last_update_time,
            state.description,
        ),
    )
    connection.executemany(
        "INSERT INTO problems VALUES (?,?,?)", [(key, *p) for p in state.problems]
    )
    if not state.exists:
        return
    connection.executemany(
        "INSERT INTO registered_model_tags VALUES (?,?,?)",
        [(key, k, v) for k, v in state.tags.items()],
    )
    for version in state.versions.values():
        put_version(connection, repo, key, name, version)
    for alias in state.aliases:
        number = state.holder(alias)
        held = [n for n in state.aliases[alias] if n in state.versions]
        if number is not None and held:
            tag = state.aliases[alias][held[-1]].tag
            connection.execute("INSERT INTO aliases VALUES (?,?,?,?)", (key, alias, held[-1], tag))


def _name(connection: sqlite3.Connection, repo: Repository, state: ModelState) -> str:
    """The name that a model has: the one it wants, unless another has more right to it."""
    if not state.exists:
        return state.name
    rivals = [key for key in _wanting(connection, state.name) if key != state.key]
    if not rivals:
        return state.name
    own = spelling.spell(state.name)
    first = min([state.key, *rivals], key=lambda key: (key != own, key))
    for loser in {state.key, *rivals} - {first}:
        connection.execute("DELETE FROM problems WHERE model=? AND tag=?", (loser, ref_of(loser)))
        connection.execute(
            "INSERT INTO problems VALUES (?,?,?)",
            (loser, ref_of(loser), f"its name {state.name!r} is another model's, too"),
        )
    if first != state.key:
        return spelling.read(state.key)
    # This one has the right: who had the name until now is called by its key.
    for rival in rivals:
        other = spelling.read(rival)
        connection.execute("UPDATE registered_models SET name=? WHERE key=?", (other, rival))
        connection.execute("UPDATE model_versions SET name=? WHERE model=?", (other, rival))
    return state.name


def _drop(connection: sqlite3.Connection, key: str) -> None:
    connection.execute(
        "DELETE FROM model_version_tags WHERE version IN "
        "(SELECT id FROM model_versions WHERE model=?)",
        (key,),
    )
    for table, column in (
        ("model_versions", "model"),
        ("aliases", "model"),
        ("registered_model_tags", "model"),
        ("problems", "model"),
        ("registered_models", "key"),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column}=?", (key,))


def put_version(
    connection: sqlite3.Connection, repo: Repository, key: str, name: str, version: Version
) -> None:
    """Write the row of a version."""
    event = version.event
    source, run_id = event.text("source"), event.text("run_id")
    if "format" not in event.message:
        source, run_id = found_at(repo, event.commit)
    held = version.stages.get(version.stage)
    made = connection.execute(
        "INSERT INTO model_versions VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            key,
            name,
            version.number,
            event.time,
            version.last_update_time,
            version.description,
            event.text("user"),
            version.stage,
            source,
            event.text("location") or source,
            run_id,
            event.text("run_link"),
            event.commit,
            event.tag,
            held.name.count if held else None,
        ),
    )
    if version.tags:
        connection.executemany(
            "INSERT INTO model_version_tags VALUES (?,?,?)",
            [(made.lastrowid, k, v) for k, v in version.tags.items()],
        )


def found_at(repo: Repository, commit: str) -> tuple[str | None, str | None]:
    """The source and run of a version that GTO or a person registered."""
    return _looked_up(repo.common_dir, commit) or _look_up(repo, commit)


_known: dict[tuple[str, str], tuple[str | None, str | None]] = {}


def _looked_up(common_dir: str, commit: str) -> tuple[str | None, str | None] | None:
    return _known.get((common_dir, commit))


def _look_up(repo: Repository, commit: str) -> tuple[str | None, str | None]:
    source: str | None = f"mlgit:/{commit}"
    run_id = None
    try:
        run_id = parse_commit(repo.objects.commit(commit)).trailers().get("Mlgit-Run")
        if run_id:
            tags = RunTree(repo, commit).summary().tags
            newest = next(iter(logged(tags)), None)
            source = f"runs:/{run_id}/{newest}" if newest else source
    except (MlgitException, ValueError, LookupError, TypeError):
        pass  # no run's, or none that can be read
    _known[repo.common_dir, commit] = source, run_id
    return source, run_id


# -- entities


def versions(
    connection: sqlite3.Connection, where: str, args: tuple[object, ...] = ()
) -> list[ModelVersion]:
    """The versions that a condition (and what follows it) selects, with tags and aliases."""
    found = connection.execute(
        f"SELECT {_VERSION} FROM model_versions WHERE {where}", args
    ).fetchall()
    return [_version_of(connection, row) for row in found]


def _version_of(connection: sqlite3.Connection, row: tuple[Any, ...]) -> ModelVersion:
    tags = dict(
        connection.execute("SELECT key, value FROM model_version_tags WHERE version=?", (row[0],))
    )
    aliases = [
        found[0]
        for found in connection.execute(
            "SELECT alias FROM aliases WHERE model=? AND version_number=? ORDER BY alias",
            (row[12], row[2]),
        )
    ]
    return ModelVersion(
        row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9],
        tags=tags, run_link=row[10], aliases=aliases, commit=row[11],
    )  # fmt: skip


def model_of(connection: sqlite3.Connection, key: str) -> RegisteredModel:
    """A registered model, with the highest version of each stage."""
    name, created, updated, description = connection.execute(
        "SELECT name, creation_timestamp, last_updated_timestamp, description "
        "FROM registered_models WHERE key=?",
        (key,),
    ).fetchone()
    return RegisteredModel(
        name,
        created,
        updated,
        description,
        latest(connection, key),
        dict(
            connection.execute("SELECT key, value FROM registered_model_tags WHERE model=?", (key,))
        ),
        dict(
            connection.execute(
                "SELECT alias, version_number FROM aliases WHERE model=? ORDER BY alias", (key,)
            )
        ),
    )


def latest(connection: sqlite3.Connection, key: str) -> list[ModelVersion]:
    """The highest version of each stage of a model, in the order of their numbers."""
    return versions(
        connection,
        "model=? AND version_number IN (SELECT max(version_number) FROM model_versions "
        "WHERE model=? GROUP BY current_stage) ORDER BY version_number",
        (key, key),
    )
