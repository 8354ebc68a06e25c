"""Push: the objects that refs lead to, then the refs, then what an archive made superfluous.

Runs go each by itself, and after them the registry's tags and texts, all or none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlgit.exceptions import MlgitException, ResourceDoesNotExist
from mlgit.git.transport import ERROR, OK, REJECTED, GitTransport, Result, Update, masked, transport
from mlgit.objects import Entry
from mlgit.objects.notices import Watch
from mlgit.objects.remote import RemoteObjects
from mlgit.objects.transfer import Transferred
from mlgit.store import names, placed, pushed
from mlgit.store.archive_record import read_archive
from mlgit.store.gitstore import GitStore
from mlgit.store.lineage import stands_on
from mlgit.store.registry_tags import TAGS, run_refs
from mlgit.store.remotes import remote_objects
from mlgit.sync import wanted
from mlgit.sync.crossing import HeldBack, Policy, key_of_ref, own_keys, policy_of
from mlgit.sync.incoming import REGISTRY, SHARED, Incoming, bring, ours, shared_refs
from mlgit.sync.refusals import Refusal, consequences, explained
from mlgit.sync.threeway import Apart

if TYPE_CHECKING:
    from mlgit.registry.replaying import Renumbered, Replayed
    from mlgit.registry.writer import Signer

Progress = Callable[[int, int], None]
Show = Callable[[str], AbstractContextManager[Progress]]
_ATTEMPTS = 6


@dataclass
class Pushed:
    """What was pushed, or would be.

    Attributes:
        remote: The Git remote.
        refs: The refs that the remote has now as this clone has them, and hadn't.
        same: How many it had already.
        merged: Refs that were merged with the remote's before.
        apart: Refs that both sides changed in ways that don't go together; neither was touched.
        failed: Refs that the remote doesn't take, and why.
        removed: Refs of archived runs that were removed there.
        objects: What was uploaded.
        renumbered, replayed: Versions and tags of the registry that come after others' now.
        held: Models whose tags crossed, and that were left alone.
        torn: Whether the remote can't take the registry's refs all or none.
        refusals: What is to be said of refs that the remote doesn't take, where that is known.
    """

    remote: str
    refs: list[str] = field(default_factory=list)
    same: int = 0
    merged: list[str] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    objects: Transferred = wanted.NOTHING
    renumbered: list[Renumbered] = field(default_factory=list)
    replayed: list[Replayed] = field(default_factory=list)
    held: list[HeldBack] = field(default_factory=list)
    torn: bool = False
    refusals: list[Refusal] = field(default_factory=list)


def no_show(what: str) -> AbstractContextManager[Progress]:
    """Shows nothing of how far a job is."""
    return nullcontext(lambda done, total: None)


def push(
    store: GitStore,
    remote: str | None,
    *,
    runs: Collection[str] | None = None,
    experiments: Collection[str] | None = None,
    artifacts: bool = True,
    all_artifacts: bool = False,
    object_remote: str | None = None,
    renumber: bool = True,
    sign: Signer | None = None,
    dry_run: bool = False,
    show: Show = no_show,
) -> Pushed:
    """Push runs, experiments, archives and the registry, after the objects that they name.

    It can be interrupted and repeated, and several may push at once: what is there already
    takes no work, and what others pushed meanwhile is merged first.

    Args:
        store: The store.
        remote: A Git remote's name, a URL or a path; None to upload data alone.
        runs: Only these runs; all where None.
        experiments: Only runs of these experiments.
        artifacts: Upload the objects that the refs lead to. Without, the refs will name bytes
            that others can't get.
        all_artifacts: Look at the objects of all chosen refs, also of those that the Git remote
            has already, and upload what this clone has and the other place hasn't. Without, that
            is done for runs that are named, and the first time that a place is used.
        object_remote: Where to; the default one where None.
        renumber: Versions of this clone's own may get other numbers, where the remote has theirs.
        sign: Signs tags that were signed and have to be made again.
        dry_run: Change nothing, and tell what would be done.
        show: Makes what is told how far a job is, from the job's title.

    Returns:
        What was done.

    Raises:
        ResourceDoesNotExist: There is no remote for the objects, or an object is lost.
        Conflict: Others kept changing the same refs.
        StorageError, PermissionDenied: A remote can't be reached, or refuses.
    """
    if remote is None:
        return Pushed("", objects=_upload_data(store, object_remote, dry_run, show))
    work = Push(store, remote, _chosen(store, runs, experiments), dry_run, show)
    work.policy = policy_of(store.repo, renumber, sign)
    work.narrowed = runs is not None or experiments is not None
    work.thorough = all_artifacts or work.narrowed
    return work.go(artifacts, object_remote)


def _upload_data(
    store: GitStore, object_remote: str | None, dry_run: bool, show: Show
) -> Transferred:
    """Upload the data of the checked out commit."""
    objects = remote_objects(store.repo, object_remote)
    data = wanted.data_entries(store)
    if dry_run or not data:
        return wanted.NOTHING
    with show("Uploading artifacts") as progress:
        return wanted.upload(store, objects, set(), data, progress)


def _chosen(
    store: GitStore, runs: Collection[str] | None, experiments: Collection[str] | None
) -> Callable[[str], bool]:
    """Whether a ref is one of those that were asked for."""
    if runs is None and experiments is None:
        return lambda ref: True
    of_runs = {store.runs.record(run_id).experiment_id for run_id in runs or ()}

    def is_chosen(ref: str) -> bool:
        kind, _, rest = ref.removeprefix("refs/mlgit/").partition("/")
        experiment_id, _, run_id = rest.partition("/")
        if kind == "runs":
            return run_id in (runs or ()) or experiment_id in (experiments or ())
        if kind == "experiments":
            return experiment_id in of_runs or experiment_id in (experiments or ())
        return kind == "archive" and (
            experiment_id in of_runs or experiment_id in (experiments or ())
        )

    return is_chosen


class Push:
    """One push, however often it is tried.

    Attributes:
        told: What was done.
        policy: What may be done with this clone's own registry tags.
        narrowed: Whether only some refs are pushed.
        thorough: Whether the objects of refs that the remote has are looked at, too.
        with_runs: Whether the runs go along whose models the chosen tags register.
    """

    def __init__(
        self,
        store: GitStore,
        remote: str,
        chosen: Callable[[str], bool],
        dry_run: bool,
        show: Show,
    ) -> None:
        self.store = store
        self.chosen = chosen
        self.dry_run = dry_run
        self.show = show
        self.transport: GitTransport = transport(store.repo, remote)
        self.told = Pushed(masked(remote))
        self.there: dict[str, str] = {}
        self.raced: dict[str, str] = {}
        self.heard: list[str] = []
        self.watches: list[tuple[Watch, set[Entry], set[Entry]]] = []
        self.policy = Policy()
        self.narrowed = self.thorough = self.with_runs = False
        self.along: set[str] = set()

    def go(self, artifacts: bool, object_remote: str | None) -> Pushed:
        """Push, until nobody else was faster; see ``push``."""
        told, repo = self.told, self.store.repo
        for attempt in range(_ATTEMPTS):
            updates = self.plan()
            if artifacts and (attempt == 0 or updates):
                self.upload(updates, object_remote, first=attempt == 0)
            elif not artifacts and updates and not self.dry_run:
                placed.forget(repo)
            if self.dry_run:
                told.refs = [update.ref for update in updates]
                break
            if not self.push(updates):
                break
        self.settle()
        told.failed.update(self.raced)
        because = consequences(repo, told.failed)
        told.refusals = explained(told.failed, "\n".join(self.heard), because)
        told.removed += self.remove_archived()
        if not self.dry_run:
            pushed.note(repo, told.remote, self.there)
        return told

    def plan(self) -> list[Update]:
        """What is to be pushed, after what differs on both sides was merged."""
        with self.show("Looking at the remote"):
            self.there = ours(self.transport.list_refs(SHARED))
            came = self._reconcile()
        here = {ref: sha for ref, sha in shared_refs(self.store.repo).items() if self.is_meant(ref)}
        left = {apart.ref for apart in came.apart} | came.held_back()
        self._tell(came)
        self.told.merged += [ref for ref in came.merged if ref not in self.told.merged]
        self.told.apart = came.apart
        self.told.same = sum(self.there.get(ref) == sha for ref, sha in here.items())
        updates = []
        for ref, sha in here.items():
            old = self.there.get(ref)
            if old == sha or ref in left or ref in self.told.failed:
                continue
            if old is None or (not ref.startswith(TAGS) and stands_on(self.store.repo, sha, old)):
                updates.append(Update(ref, sha, old))
        return updates

    def _reconcile(self) -> Incoming:
        """Bring what the remote has of the refs that this clone changed too, and archives."""
        mine = shared_refs(self.store.repo)
        if self.with_runs:
            self.along = self._runs_of(mine)
        # Of a model that has something to push, all is brought: it may have to come after it.
        keys = own_keys({r: s for r, s in mine.items() if self.chosen(r)}, self.there)

        def differs_on_both(ref: str) -> bool:
            if ref.startswith(names.ARCHIVE):
                return True  # it tells which refs of runs the remote has no use for
            if keys and ref.startswith((REGISTRY, TAGS)) and key_of_ref(ref) in keys:
                return True
            return ref in mine and self.is_meant(ref)

        return bring(
            self.store,
            self.transport,
            self.there,
            differs_on_both,
            policy=self.policy,
            dry_run=self.dry_run,
        )

    def is_meant(self, ref: str) -> bool:
        """Whether a ref is one of those that are pushed."""
        return self.chosen(ref) or ref in self.along

    def _runs_of(self, mine: Mapping[str, str]) -> set[str]:
        """The refs of the runs that chosen tags are about which the remote hasn't."""
        found: set[str] = set()
        for ref, sha in mine.items():
            if ref.startswith(TAGS) and self.there.get(ref) != sha and self.chosen(ref):
                found.update(r for r in run_refs(self.store.repo, sha) if r in mine)
        return found

    def _tell(self, came: Incoming) -> None:
        told = self.told
        # A version that others overtook twice has had a number in between that nobody saw.
        before = {(one.model, one.new): one for one in told.renumbered}
        again = [(before.pop((one.model, one.old), one), one) for one in came.renumbered]
        told.renumbered = [*before.values(), *(replace(one, old=was.old) for was, one in again)]
        told.replayed += came.replayed
        told.held = came.held

    def upload(self, updates: list[Update], object_remote: str | None, first: bool) -> None:
        """Put the objects that the refs lead to, and the data of the checked out commit."""
        repo = self.store.repo
        refs = {update.ref: update.new for update in updates if update.new is not None}
        needed = wanted.new_entries(self.store, refs, self.there)
        data: set[Entry] = wanted.data_entries(self.store)
        objects: RemoteObjects | None = None
        try:
            objects = remote_objects(repo, object_remote)
        except MlgitException as error:
            lacking = error
        whole = (
            first and not self.narrowed and objects is not None and placed.is_new(repo, objects.url)
        )
        if self.told.same and first and (self.thorough or whole):
            chosen = {ref: sha for ref, sha in shared_refs(repo).items() if self.chosen(ref)}
            data |= wanted.entries_of_refs(self.store, chosen)
        if not needed and not data:
            if whole and objects is not None and not self.dry_run:
                placed.note(repo, objects.url)
            return
        if objects is None:
            if not isinstance(lacking, ResourceDoesNotExist):
                raise lacking
            if not needed and object_remote is None:
                return  # data that is kept in one clone; no ref that is pushed needs it
            raise ResourceDoesNotExist(
                f"These runs have artifacts, and there is nowhere to put them: {lacking.message}",
                hint=f"{lacking.hint}; or mlgit push --no-artifacts",
            ) from lacking
        if self.dry_run:
            return
        if needed or data:
            self.watches.append((Watch(objects), needed, data))
        with self.show("Uploading artifacts") as progress:
            done = wanted.upload(self.store, objects, needed, data, progress)
        if whole:
            placed.note(repo, objects.url)
        before = self.told.objects
        self.told.objects = Transferred(
            before.objects + done.objects, before.bytes + done.bytes, done.already
        )

    def settle(self) -> None:
        """Put again what somebody removed from the remote before the refs were there to see."""
        for watch, needed, data in self.watches:
            with self.show("Waiting for mlgit gc on the remote"):
                disturbed = watch.disturbed()
            while disturbed:
                with self.show("Uploading artifacts again") as progress:
                    wanted.upload(self.store, watch.remote, needed, data, progress)
                disturbed = watch.disturbed()

    def push(self, updates: list[Update]) -> bool:
        """Push the refs; whether others were faster with some, so that it is to be repeated."""
        registry = [update for update in updates if update.ref.startswith((REGISTRY, TAGS))]
        others = [update for update in updates if not update.ref.startswith((REGISTRY, TAGS))]
        results: list[Result] = []
        if others or not registry:
            with self.show("Pushing runs"):
                results += self.transport.push(others)
        if registry:
            with self.show("Pushing the registry"):
                results += self._push_registry(registry)
        new = {update.ref: update.new for update in updates}
        for result in results:
            if result.status == OK:
                self.told.refs.append(result.ref)
                self.there[result.ref] = str(new[result.ref])
            elif result.status == ERROR:
                self.told.failed[result.ref] = result.reason
        self.raced = {r.ref: r.reason for r in results if r.status == REJECTED}
        return bool(self.raced)

    def _push_registry(self, updates: list[Update]) -> list[Result]:
        """Push the registry's refs, all or none; where some aren't taken, model by model."""
        results = self._push_atomic(updates)
        models: dict[str | None, list[Update]] = {}
        for update in updates:
            models.setdefault(key_of_ref(update.ref), []).append(update)
        if len(models) == 1 or not any(result.status == ERROR for result in results):
            return results
        self.heard.clear()
        return [result for some in models.values() for result in self._push_atomic(some)]

    def _push_atomic(self, updates: list[Update]) -> list[Result]:
        results = self.transport.push(updates, atomic=True)
        self.told.torn |= self.transport.torn
        if any(result.status == ERROR for result in results):
            self.heard.append(self.transport.heard)
        return results

    def remove_archived(self) -> list[str]:
        """Remove the remote's refs of runs that its archives have."""
        repo = self.store.repo
        updates: list[Update] = []
        for ref, tip in repo.refs.items(names.ARCHIVE).items():
            if self.there.get(ref) != tip or not self.chosen(ref):
                continue
            prefix = f"{names.RUNS}{ref[len(names.ARCHIVE) :]}/"
            updates += self._superfluous(prefix, _archived(self.store, tip))
        if self.dry_run or not updates:
            return [update.ref for update in updates]
        removed = []
        with self.show("Removing refs of archived runs") as progress:
            for at in range(0, len(updates), 200):
                progress(at, len(updates))
                results: list[Result] = self.transport.push(updates[at : at + 200])
                removed += [result.ref for result in results if result.status == OK]
        for gone in removed:
            self.there.pop(gone, None)
        return removed

    def _superfluous(self, prefix: str, archived: Mapping[str, str]) -> list[Update]:
        found = []
        for ref, sha in self.there.items():
            commit = archived.get(ref[len(prefix) :]) if ref.startswith(prefix) else None
            if commit is not None and (sha == commit or stands_on(self.store.repo, commit, sha)):
                found.append(Update(ref, None, sha))
        return found


def _archived(store: GitStore, tip: str) -> dict[str, str]:
    try:
        return read_archive(store.repo, tip)
    except MlgitException:
        return {}  # fsck tells
