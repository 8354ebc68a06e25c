"""The model registry of one repository: MLflow's calls, over tags and a little text."""

from __future__ import annotations

import difflib
import shlex
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mlgit.entities import LifecycleStage, PagedList
from mlgit.entities.model_registry import ModelVersion, RegisteredModel
from mlgit.exceptions import (
    InvalidParameterValue,
    MlgitException,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from mlgit.registry import checks, history, overview, rows, search, sources
from mlgit.registry.history import Change
from mlgit.registry.index import RegistryIndex
from mlgit.registry.lineage import Lineage, trace
from mlgit.registry.moves import Moves
from mlgit.registry.overview import Listed
from mlgit.registry.state import NO_STAGE, ModelState
from mlgit.registry.tags import DEREGISTER, Event, TagName
from mlgit.registry.targets import Target
from mlgit.registry.text import ModelText, VersionText, ref_of
from mlgit.registry.writer import Signer, Writer
from mlgit.store import query, spelling
from mlgit.store.gitstore import GitStore
from mlgit.store.timeform import now_ms


class Registry:
    """The registered models of one repository.

    Args:
        store: The repository's runs.
        user: Gives the person's name in the system.

    Attributes:
        index: Answers questions.
    """

    def __init__(self, store: GitStore, user: Callable[[], str]) -> None:
        self.store = store
        self.index = RegistryIndex(store.repo)
        self.writer = Writer(self.index, user)

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    # -- models

    def create_model(
        self, name: str, tags: dict[str, Any] | None = None, description: str | None = None
    ) -> RegisteredModel:
        """Make a model without versions.

        Raises:
            ResourceAlreadyExists: There is one of that name.
            InvalidParameterValue: The name or a tag can't be one.
        """
        name = checks.model_name(name)
        checked, about = checks.tags(tags), checks.description(description)
        with self.writer.lock():
            if self._key(name) is not None:
                raise ResourceAlreadyExists(
                    f"Registered Model (name={name}) already exists.",
                    hint="register_model() adds a version to it",
                )
            now = now_ms()
            key = self._deleted(name) or self.writer.free_key(spelling.spell(name))

            def make(text: ModelText) -> None:
                text.name, text.lifecycle_stage = name, LifecycleStage.ACTIVE
                text.creation_time = text.last_update_time = now
                text.description, text.tags = about, checked

            self.writer.edit(key, name, f"Create the model {name}", make, now)
        return self.model(name)

    def model(self, name: str) -> RegisteredModel:
        """A model.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        key = self.key(name)
        return self.index.ask(lambda c: rows.model_of(c, key))

    def has(self, name: str) -> bool:
        """Whether there is a model of a name."""
        return self._key(name) is not None

    def key(self, name: str) -> str:
        """The key of a model.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        if name is None or not str(name).strip():
            raise InvalidParameterValue("Missing value for required parameter 'name'.")
        found = self._key(str(name))
        if found is None:
            raise ResourceDoesNotExist(
                f"Registered Model with name={name} not found", hint=self._guess(str(name))
            )
        return found

    def _guess(self, name: str) -> str:
        """What somebody may have meant by a name that no model has."""
        names = self.index.ask(
            lambda c: [
                row[0] for row in c.execute("SELECT name FROM registered_models WHERE present")
            ]
        )
        model, slash, number = name.removeprefix("models:/").rpartition("/")
        if slash and model in names:
            version = f"v{number}" if number.isdecimal() else number.lower()
            return (
                f"commands take a version as NAME@VERSION: did you mean {f'{model}@{version}'!r}?"
            )
        close = difflib.get_close_matches(name, names, 1)
        if close:
            return f"did you mean {close[0]!r}?"
        return "mlgit models list lists them; mlgit fetch brings those of a Git remote"

    def _key(self, name: str) -> str | None:
        row = self.index.ask(
            lambda c: c.execute(
                "SELECT key FROM registered_models WHERE name=? AND present", (name,)
            ).fetchone()
        )
        return row[0] if row else None

    def _deleted(self, name: str) -> str | None:
        """The key of the deleted model of a name."""
        row = self.index.ask(
            lambda c: c.execute(
                "SELECT key FROM registered_models WHERE name=? AND NOT present ORDER BY key",
                (name,),
            ).fetchone()
        )
        return row[0] if row else None

    def update_model(self, name: str, description: str | None) -> RegisteredModel:
        """Describe a model.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        about = checks.description(description)

        def change(text: ModelText, now: int) -> None:
            text.description, text.last_update_time = about, now

        self._edit(name, f"Describe {name}", change)
        return self.model(name)

    def rename_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model another name; its tags keep theirs.

        Raises:
            ResourceDoesNotExist: There is none of that name.
            ResourceAlreadyExists: The new name is another model's.
        """
        new = checks.model_name(new_name, "new_name")
        key, other = self.key(name), self._key(new)
        if other not in (None, key):
            raise ResourceAlreadyExists(f"Registered Model (name={new}) already exists.")

        def change(text: ModelText, now: int) -> None:
            text.name, text.last_update_time, text.rename_time = new, now, now

        self._edit(name, f"Rename {name} to {new}", change)
        return self.model(new)

    def delete_model(self, name: str, reason: str | None = None) -> None:
        """Delete a model and its versions. Their tags stay, and say so.

        Raises:
            ResourceDoesNotExist: There is none of that name.
        """
        with self.writer.lock():
            state = self.state(name)
            now = now_ms()
            for number in sorted(state.versions):
                self._deregister(state, number, reason, now)

            def change(text: ModelText) -> None:
                text.lifecycle_stage, text.last_update_time = LifecycleStage.DELETED, now
                text.versions.clear()

            self.writer.edit(state.key, state.name, f"Delete {name}", change, now)
            self.writer.tidy()

    def set_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a model.

        Raises:
            ResourceDoesNotExist: There is no such model.
        """
        tag, text_value = checks.tag(key, value)

        def change(text: ModelText, now: int) -> None:
            text.tags[tag] = text_value

        self._edit(name, f"Tag {name}: {tag}", change)

    def delete_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a model; it is no error if there is none.

        Raises:
            ResourceDoesNotExist: There is no such model.
        """
        tag, _ = checks.tag(key, "")
        if tag not in self.model(name).tags:
            return

        def change(text: ModelText, now: int) -> None:
            text.tags.pop(tag, None)

        self._edit(name, f"Untag {name}: {tag}", change)

    def _edit(self, name: str, subject: str, change: Callable[[ModelText, int], None]) -> None:
        with self.writer.lock():
            key, now = self.key(name), now_ms()
            self.writer.edit(key, name, subject, lambda text: change(text, now), now)

    def state(self, name: str) -> ModelState:
        """What a model's tags and text make of it.

        Raises:
            ResourceDoesNotExist: There is no such model.
        """
        state: ModelState = self.writer.state(self.key(name))
        state.name = name
        return state

    def search_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """The models that a filter matches, a page of them.

        Raises:
            FilterError: The filter or a sort key doesn't parse.
            InvalidParameterValue: Another argument can't be right.
        """
        size = search.page_size(max_results, checks.MAX_MODELS)
        offset = query.decode_token(page_token)
        compiled = search.models(filter_string or "", order_by, size + 1, offset)

        def work(connection: sqlite3.Connection) -> PagedList[RegisteredModel]:
            keys = [row[0] for row in connection.execute(compiled.text, compiled.args)]
            token = query.encode_token(offset + size) if len(keys) > size else None
            return PagedList([rows.model_of(connection, key) for key in keys[:size]], token)

        return self.index.ask(work)

    # -- versions

    def create_version(
        self,
        name: str,
        source: str | None,
        run_id: str | None = None,
        tags: dict[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        sign: Signer | None = None,
    ) -> ModelVersion:
        """Register the next version of a model.

        Args:
            name: The model, which is there.
            source: The URI of the model's folder.
            run_id: The run that made it; that of the source where none is given.
            tags: The version's tags.
            run_link: A page that shows the run.
            description: What is to be known of it.
            sign: Signs the tag; what Git's configuration says where None.

        Raises:
            InvalidState: It can't be signed.
            ResourceDoesNotExist: There is no such model, or nothing at a source that is a run's.
            InvalidParameterValue: An argument can't be right.
        """
        checked, about = checks.tags(tags), checks.description(description)
        with self.writer.lock():
            key = self.key(name)
            meant = sources.find(self, source, run_id)
            message = {
                "source": source,
                "location": meant.location if meant.location != source else None,
                "run_id": meant.run_id,
                "run_link": run_link,
                "description": about,
                "tags": checked,
            }
            number = self.writer.register(key, name, meant.commit, message, now_ms(), sign)
            version = self.version(name, number)
            self.writer.tidy()
        return version

    def version(self, name: str, number: Any) -> ModelVersion:
        """A version of a model.

        Raises:
            ResourceDoesNotExist: There is none.
            InvalidParameterValue: The number isn't one.
        """
        wanted = checks.version(number)
        key = self._key(str(name))
        if key is not None and abs(wanted) < 2**62:
            found = self.index.ask(
                lambda c: rows.versions(c, "model=? AND version_number=?", (key, wanted))
            )
            if found:
                return found[0]
        if key is None:
            hint = self._guess(str(name))
        else:
            deleted = [
                e.tag
                for e in self.index.ask(lambda c: rows.events_of(c, key))
                if e.name.event == DEREGISTER and e.name.number == wanted
            ]
            hint = f"mlgit models show {shlex.quote(str(name))} lists its versions"
            hint = f"it was deleted, as the tag {deleted[-1]} says" if deleted else hint
        raise ResourceDoesNotExist(
            f"Model Version (name={name}, version={number}) not found", hint=hint
        )

    def location(self, name: str, number: Any) -> str:
        """The URI of the folder that a version is kept in.

        Raises:
            ResourceDoesNotExist: There is no such version.
        """
        version = self.version(name, number)
        key = self.key(name)
        row = self.index.ask(
            lambda c: c.execute(
                "SELECT location FROM model_versions WHERE model=? AND version_number=?",
                (key, version.version),
            ).fetchone()
        )
        return str(row[0] or "") if row else str(version.source or "")

    def search_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """The versions that a filter matches, a page of them.

        Raises:
            FilterError: The filter or a sort key doesn't parse.
            InvalidParameterValue: Another argument can't be right.
        """
        size = search.page_size(max_results, checks.MAX_VERSIONS)
        offset = query.decode_token(page_token)
        compiled = search.versions(filter_string or "", order_by, size + 1, offset)
        found = self.index.ask(lambda c: rows.versions(c, compiled.text, compiled.args))
        token = query.encode_token(offset + size) if len(found) > size else None
        return PagedList(found[:size], token)

    def latest_versions(self, name: str, stages: Iterable[str] | None = None) -> list[ModelVersion]:
        """The highest version of each stage.

        Raises:
            ResourceDoesNotExist: There is no such model.
            InvalidParameterValue: There is no such stage.
        """
        key = self.key(name)
        wanted = {checks.stage(stage) for stage in stages or checks.ALL_STAGES}
        found = self.index.ask(lambda c: rows.latest(c, key))
        return [version for version in found if version.current_stage in wanted]

    def update_version(self, name: str, number: Any, description: str | None) -> ModelVersion:
        """Describe a version.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        about = checks.description(description)

        def change(text: VersionText, now: int) -> None:
            text.description, text.last_update_time = about, now

        self._edit_version(name, number, "Describe", change)
        return self.version(name, number)

    def set_version_tag(self, name: str, number: Any, key: str, value: Any) -> None:
        """Set a tag of a version.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        tag, text_value = checks.tag(key, value)

        def change(text: VersionText, now: int) -> None:
            text.tags[tag] = text_value

        self._edit_version(name, number, f"Tag {tag} of", change)

    def delete_version_tag(self, name: str, number: Any, key: str) -> None:
        """Remove a tag of a version; it is no error if there is none.

        Raises:
            ResourceDoesNotExist: There is no such version.
        """
        tag, _ = checks.tag(key, "")
        if tag not in self.version(name, number).tags:
            return

        def change(text: VersionText, now: int) -> None:
            text.tags.pop(tag, None)

        self._edit_version(name, number, f"Untag {tag} of", change)

    def _edit_version(
        self, name: str, number: Any, doing: str, change: Callable[[VersionText, int], None]
    ) -> None:
        with self.writer.lock():
            version = self.version(name, number)
            now = now_ms()

            def edit(text: ModelText) -> None:
                own = text.versions.get(version.version)
                if own is None:
                    own = VersionText(version.description, dict(version.tags))
                    text.versions[version.version] = own
                change(own, now)

            subject = f"{doing} version {version.version} of {name}"
            self.writer.edit(self.key(name), name, subject, edit, now)

    def delete_version(self, name: str, number: Any, reason: str | None = None) -> None:
        """Delete a version, and the aliases that it has. Its number isn't used again.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        with self.writer.lock():
            version = self.version(name, number)
            moves = self._moves(self.state(name), {"reason": reason})
            for alias in version.aliases:
                moves.remove_alias(alias)
            self._deregister(moves.state, version.version, reason, moves.now)

    def _deregister(self, state: ModelState, number: int, reason: str | None, now: int) -> None:
        event = state.versions[number].event
        name = TagName(state.key, DEREGISTER, version=event.name.version)
        message = {"reason": reason, "previous": event.tag}
        self.writer.mark(name, state.name, number, event.commit, message, now)

    # -- stages and aliases

    def transition(
        self,
        name: str,
        number: Any,
        stage: str,
        archive_existing: bool = False,
        **said: Any,
    ) -> ModelVersion:
        """Put a version into a stage.

        Args:
            name: The model.
            number: The version.
            stage: None, Staging, Production or Archived, in any case.
            archive_existing: Archive the versions that are in the stage.
            said: What the tag's message says, too: ``reason``, ``guards``, …; ``sign`` signs.

        Raises:
            ResourceDoesNotExist: There is no such version.
            InvalidParameterValue: There is no such stage, or nothing of it can be archived.
        """
        wanted = checks.stage(stage)
        if archive_existing and wanted not in checks.ACTIVE_STAGES:
            raise MlgitException(
                f"Model version transition cannot archive existing model versions because "
                f"'{stage}' is not an Active stage. Valid stages are {list(checks.ACTIVE_STAGES)}"
            )
        target = Target(wanted, True)
        with self.writer.lock():
            version = self.version(name, number)
            moves = self._moves(self._state_about(name, version.version, target), said)
            if wanted == NO_STAGE:
                moves.leave_stages(version.version, **said)
            else:
                moves.give(target, version.version, archive_existing, **said)
            made = self.version(name, version.version)
            self.writer.tidy()
        return made

    def _state_about(self, name: str, number: int, target: Target) -> ModelState:
        key = self.key(name)
        state = self.index.ask(lambda c: rows.state_about(c, key, number, target))
        state.name = name
        return state

    def _moves(self, state: ModelState, said: dict[str, Any]) -> Moves:
        """A change to a model; what all of its tags say is taken out of ``said``."""
        reason, sign = said.pop("reason", None), said.pop("sign", None)
        return Moves(self.writer, state, now_ms(), reason, sign)

    def set_alias(self, name: str, alias: str, number: Any, **said: Any) -> None:
        """Point an alias to a version.

        Args:
            name: The model.
            alias: The alias.
            number: The version.
            said: What the tag's message says, too: ``reason``, ``guards``, …; ``sign`` signs.

        Raises:
            ResourceDoesNotExist: There is no such version.
            InvalidParameterValue: The alias can't be one, or is reserved.
        """
        checked = checks.new_alias(alias)
        target = Target(checked, False)
        with self.writer.lock():
            version = self.version(name, number)
            moves = self._moves(self._state_about(name, version.version, target), said)
            if moves.state.holder(checked) != version.version:
                moves.give(target, version.version, **said)
                self.writer.tidy()

    def delete_alias(self, name: str, alias: str, reason: str | None = None) -> None:
        """Remove an alias; it is no error if there is none.

        Raises:
            ResourceDoesNotExist: There is no such model.
            InvalidParameterValue: No alias can have that name.
        """
        checked = checks.alias(alias)
        with self.writer.lock():
            self._moves(self.state(name), {"reason": reason}).remove_alias(checked)

    def by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias names; ``latest`` is the newest.

        Where a stage has the alias's name and no alias has, the version last put there is meant.

        Raises:
            ResourceDoesNotExist: There is no such model, or no latest version.
            InvalidParameterValue: It has no such alias (MLflow's error for it).
        """
        checked, key = checks.alias(alias), self.key(name)
        if checked.lower() == "latest":
            where = "model=? ORDER BY version_number DESC LIMIT 1"
            args: tuple[object, ...] = (key,)
        else:
            where = (
                "model=? AND version_number IN "
                "(SELECT version_number FROM aliases WHERE model=? AND alias=?)"
            )
            args = (key, key, checked)
        found = self.index.ask(lambda c: rows.versions(c, where, args))
        if not found and checked.capitalize() in checks.ALL_STAGES[1:]:
            where = "model=? AND current_stage=? ORDER BY stage_at DESC LIMIT 1"
            stage = checked.capitalize()
            found = self.index.ask(lambda c: rows.versions(c, where, (key, stage)))
        if not found and checked.lower() == "latest":
            raise ResourceDoesNotExist(
                f"Latest version not found for model {name}.",
                hint="register_model() makes its first version",
            )
        if not found:
            raise InvalidParameterValue(
                f"Registered model alias {alias} not found.",
                hint=f"the aliases of {name}: {', '.join(self.model(name).aliases) or 'none'}",
            )
        return found[0]

    # -- history and problems

    def lineage(self, name: str, number: Any) -> Lineage:
        """Where a version comes from: its run, the code that this ran, and the data.

        Raises:
            ResourceDoesNotExist: There is no such version.
            CorruptData, Unsupported: What it comes from can't be read.
        """
        return trace(self.store.repo, self.version(name, number))

    def listed(self, filter_string: str = "", limit: int | None = None) -> list[Listed]:
        """All models that a filter matches, by name, each with what a list shows of it.

        Raises:
            FilterError: The filter doesn't parse.
        """
        return self.index.ask(lambda c: overview.listed(c, filter_string, limit))

    def history(self, name: str) -> list[Event]:
        """Every tag of a model, also of a deleted one, in order, the oldest first.

        Raises:
            ResourceDoesNotExist: There is and was no such model.
        """
        key = self._key(name) or self._deleted(name) or self.key(name)
        events = self.index.ask(lambda c: rows.events_of(c, key))
        return sorted(events, key=lambda event: (event.at, event.order))

    def changes(self, name: str, texts: bool = False) -> list[Change]:
        """The same as changes that people read.

        Args:
            name: The model, which may be deleted.
            texts: With those of descriptions, tags and names.

        Raises:
            ResourceDoesNotExist: There is and was no such model.
        """
        found = history.changes(self.history(name))
        if texts:
            key = self._key(name) or self._deleted(name) or self.key(name)
            found += history.text_changes(self.store.repo, ref_of(key))
            found.sort(key=lambda change: change.time)
        return found

    def problems(self) -> list[tuple[str, str]]:
        """(tag or ref, what is wrong with it) of what was left out of all that is shown."""

        def work(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            return [
                *connection.execute("SELECT ref, problem FROM events WHERE problem IS NOT NULL"),
                *connection.execute("SELECT ref, problem FROM texts WHERE problem IS NOT NULL"),
                *connection.execute("SELECT tag, message FROM problems"),
            ]

        return sorted(self.index.ask(work))


def registry_of(store: GitStore, user: Callable[[], str] | None = None) -> Registry:
    """The registry of a store, made once.

    Args:
        store: The repository's runs.
        user: Gives the person's name in the system; who only reads needn't say.
    """
    found: Registry | None = store.beside.get("registry")
    if found is None:
        found = store.beside["registry"] = Registry(store, user or (lambda: ""))
    elif user is not None:
        found.writer.user = user
    return found
