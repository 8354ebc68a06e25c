"""What a remote's refs mean for this clone's: new, newer, merged, or left alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlgit.exceptions import Conflict, InvalidParameterValue, MlgitException
from mlgit.git import Repository, check_ref_name
from mlgit.git.transport import GitTransport
from mlgit.registry.text import ref_of
from mlgit.store import journal, names
from mlgit.store.archive_record import read_archive
from mlgit.store.gitstore import GitStore
from mlgit.store.lineage import stands_on
from mlgit.store.registry_tags import TAGS, is_registry_tag
from mlgit.sync import crossing
from mlgit.sync.crossing import Crossings, HeldBack, Policy
from mlgit.sync.merging import merge_commits
from mlgit.sync.threeway import Apart, Clash

if TYPE_CHECKING:
    from mlgit.registry.replaying import Renumbered, Replayed

REGISTRY = "refs/mlgit/registry/"
# Of the tags, the registry's alone are ours.
SHARED = (names.EXPERIMENTS, REGISTRY, names.ARCHIVE, names.RUNS, TAGS)
_NUMBERED = re.compile(r"^refs/mlgit/(experiments|archive)/[0-9]{1,30}\Z")
_RUN = re.compile(r"^refs/mlgit/runs/[0-9]{1,30}/[A-Za-z0-9][A-Za-z0-9_-]{0,255}\Z")
_ATTEMPTS = 5
# So many loose refs are packed at once.
_MANY = 200


@dataclass
class Incoming:
    """What became of a remote's refs here.

    Attributes:
        new: Refs that this clone didn't have.
        forwarded: Refs that moved forward to the remote's commit.
        merged: Refs that were merged; they are ahead of the remote's now.
        apart: Refs that were left alone.
        dropped: Refs of runs that went, as an archive has these runs.
        refused: Names that mlgit doesn't take, and why.
        renumbered, replayed: Versions and tags of this clone's own that come after the remote's.
        held: Models whose tags crossed, and that were left alone.
    """

    new: list[str] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    renumbered: list[Renumbered] = field(default_factory=list)
    replayed: list[Replayed] = field(default_factory=list)
    held: list[HeldBack] = field(default_factory=list)

    def held_back(self) -> set[str]:
        """The refs of models that were left alone."""
        return {ref for held in self.held for ref in held.refs}

    def take(self, crossings: Crossings) -> None:
        """Tell of tags that crossed, too."""
        self.new += crossings.new
        self.forwarded += crossings.forwarded
        self.merged += crossings.merged
        self.apart += crossings.apart
        self.renumbered += crossings.renumbered
        self.replayed += crossings.replayed
        self.held += crossings.held

    def changed(self) -> list[str]:
        """All refs that are other than before."""
        return [*self.new, *self.forwarded, *self.merged]


def shared_refs(repo: Repository) -> dict[str, str]:
    """This clone's refs that are pushed and fetched."""
    found: dict[str, str] = {}
    for prefix in SHARED:
        found.update(repo.refs.items(prefix))
    return ours(found)


def ours(refs: Mapping[str, str]) -> dict[str, str]:
    """The refs that mlgit pushes and fetches: all but tags that aren't the registry's."""
    return {
        ref: sha for ref, sha in refs.items() if not ref.startswith(TAGS) or is_registry_tag(ref)
    }


def bring(
    store: GitStore,
    transport: GitTransport,
    there: Mapping[str, str],
    wanted: Callable[[str], bool] = lambda ref: True,
    *,
    policy: Policy | None = None,
    dry_run: bool = False,
) -> Incoming:
    """Bring commits of a remote, and this clone's refs up to them.

    It can be interrupted and repeated: a ref is written when all that it leads to is here.

    Args:
        store: The store.
        transport: The remote.
        there: Its refs.
        wanted: Which of the refs that differ are to be brought.
        policy: What may be done with this clone's own registry tags where they crossed; what
            the configuration says where None.
        dry_run: Change nothing. What would be merged is told as forwarded.

    Raises:
        StorageError, PermissionDenied, ResourceDoesNotExist: The remote can't be reached, or
            something can't be written.
    """
    work = _Bringing(store, there, dry_run)
    differing = {
        ref: sha
        for ref, sha in there.items()
        if work.here.get(ref) != sha and wanted(ref) and work.takes(ref)
    }
    # What this clone is ahead of is here already.
    needed = {ref: sha for ref, sha in differing.items() if not work.is_ahead(ref, sha)}
    known = {ref: sha for ref, sha in there.items() if ref in differing or ref in work.here}
    policy = policy or crossing.policy_of(store.repo)
    if dry_run:
        crossings = crossing.settle(store.repo, known, wanted, policy, dry_run=True)
        work.tell(needed, crossings)
        return work.told
    transport.fetch(needed)
    for prefix in (names.EXPERIMENTS, names.ARCHIVE, names.RUNS):
        work.apply({ref: sha for ref, sha in needed.items() if ref.startswith(prefix)})
        if prefix == names.ARCHIVE:
            work.settle_archives()
    # Tags last: they name runs' commits.
    crossings = crossing.settle(store.repo, known, wanted, policy)
    work.told.take(crossings)
    done = work.told.held_back() | {ref_of(key) for key in crossings.keys}
    for prefix in (REGISTRY, TAGS):
        work.apply({r: s for r, s in needed.items() if r.startswith(prefix) and r not in done})
    if len(work.told.changed()) >= _MANY:
        store.repo.refs.pack("refs/mlgit/")
    return work.told


def _moved(ref: str, ours: str, theirs: str) -> Apart:
    """A tag that is another one there; it is never moved."""
    return Apart(ref, ours, theirs, [])


class _Bringing:
    def __init__(self, store: GitStore, there: Mapping[str, str], dry_run: bool) -> None:
        self.store = store
        self.repo = store.repo
        self.there = there
        self.told = Incoming()
        if not dry_run:
            store.runs.recover()  # a commit that was interrupted is finished before others come
        self.here = shared_refs(self.repo)
        self._archives: dict[str, dict[str, str]] = {}
        self._tags: set[str] | None = None

    def takes(self, ref: str) -> bool:
        """Whether a remote may give this clone a ref of that name."""
        if ref.startswith((names.EXPERIMENTS, names.ARCHIVE)):
            fits = bool(_NUMBERED.match(ref))
        elif ref.startswith(names.RUNS):
            fits = bool(_RUN.match(ref))
        elif ref.startswith(TAGS) and ref not in self.here and self._is_in_the_way(ref):
            self.told.refused[ref] = "this clone has a tag that is, or would be, a folder of it"
            return False
        else:
            try:
                fits = bool(check_ref_name(ref))
            except InvalidParameterValue:
                fits = False
        if not fits:
            self.told.refused[ref] = "mlgit makes no refs of this name"
        return fits

    def is_ahead(self, ref: str, sha: str) -> bool:
        own = self.here.get(ref)
        return own is not None and not ref.startswith(TAGS) and stands_on(self.repo, own, sha)

    def _is_in_the_way(self, ref: str) -> bool:
        """Whether Git can't keep a tag beside one that is here."""
        if self._tags is None:
            self._tags = set(self.repo.refs.items(TAGS))
        above = ref
        while len(above := above.rpartition("/")[0]) > len(TAGS):
            if above in self._tags:
                return True
        return any(other.startswith(f"{ref}/") for other in self._tags)

    def tell(self, needed: Mapping[str, str], crossings: Crossings) -> None:
        """Tell what would become of refs."""
        self.told.take(crossings)
        held = self.told.held_back()
        for ref, sha in needed.items():
            if ref in self.here and ref.startswith(TAGS):
                if crossing.key_of_ref(ref) not in crossings.keys and ref not in held:
                    self.told.apart.append(_moved(ref, self.here[ref], sha))
            elif ref not in held:
                (self.told.forwarded if ref in self.here else self.told.new).append(ref)

    # -- refs

    def apply(self, refs: Mapping[str, str]) -> None:
        """Bring this clone's refs up to the remote's."""
        new = {}
        for ref, sha in refs.items():
            archived = self._archived(ref)
            if ref in self.here:
                self._bring_up(ref, sha)
            elif archived is None or (archived != sha and stands_on(self.repo, sha, archived)):
                new[ref] = sha
            elif archived != sha and not stands_on(self.repo, archived, sha):
                self._merge_into(ref, archived, sha, None)
        if new:
            taken = set(self.repo.refs.add_packed(new))
            self.told.new += [ref for ref in new if ref not in taken]
            for ref in taken:
                self._bring_up(ref, new[ref])

    def _archived(self, ref: str) -> str | None:
        """The commit that this clone's archive has of a run; None for other refs."""
        if not ref.startswith(names.RUNS):
            return None
        experiment_id, run_id = names.parse_run_ref(ref)
        return self.archive(experiment_id).get(run_id)

    def archive(self, experiment_id: str) -> dict[str, str]:
        """What this clone's archive of an experiment says; empty where it can't be read."""
        if experiment_id not in self._archives:
            tip = self.repo.refs.read(names.ARCHIVE + experiment_id)
            try:
                self._archives[experiment_id] = read_archive(self.repo, tip) if tip else {}
            except MlgitException:
                self._archives[experiment_id] = {}  # fsck tells
        return self._archives[experiment_id]

    def _bring_up(self, ref: str, sha: str) -> None:
        for _ in range(_ATTEMPTS):
            own = self.repo.refs.read(ref)
            if own is not None and ref.startswith(TAGS) and own != sha:
                self.told.apart.append(_moved(ref, own, sha))
                return
            if own == sha or (own is not None and stands_on(self.repo, own, sha)):
                return
            try:
                if own is None or stands_on(self.repo, sha, own):
                    self.repo.refs.update(ref, sha, own)
                    self.told.forwarded.append(ref)
                else:
                    self._merge_into(ref, own, sha, own)
                return
            except Conflict:
                if self.repo.refs.read(ref) == own:
                    raise  # somebody holds its lock
        raise Conflict(f"{ref} keeps being changed by somebody else", hint="try again")

    def _merge_into(self, ref: str, ours: str, theirs: str, own: str | None) -> None:
        """Make a ref the merge of two commits.

        Args:
            ref: The ref.
            ours: The commit here.
            theirs: The remote's, or the archive's.
            own: What the ref is now; None where it is the archive that has ``ours``.
        """
        try:
            made, clashes = merge_commits(self.repo, ref, ours, theirs)
        except MlgitException as error:
            made, clashes = None, [Clash(f"can't be read: {error.message}", None, ours, theirs)]
        if made is None:
            self.told.apart.append(Apart(ref, ours, theirs, clashes))
            return
        self.repo.refs.update(ref, made, own)
        self.told.merged.append(ref)

    # -- archives

    def settle_archives(self) -> None:
        """Let archives that came have their runs: stale refs go, those that parted are merged."""
        self._archives.clear()
        for ref in [r for r in self.told.changed() if r.startswith(names.ARCHIVE)]:
            experiment_id = ref[len(names.ARCHIVE) :]
            self._settle(experiment_id, self.archive(experiment_id))

    def _settle(self, experiment_id: str, archived: Mapping[str, str]) -> None:
        committer = self.store.runs.committer
        going = {r for r in committer.pending() if journal.names(committer.folder(r))}
        prefix = f"{names.RUNS}{experiment_id}/"
        stale = {}
        for ref, own in self.repo.refs.items(prefix).items():
            run_id = ref[len(prefix) :]
            commit = archived.get(run_id)
            if commit is None or run_id in going:
                continue
            if own == commit or stands_on(self.repo, commit, own):
                stale[ref] = own
            elif not stands_on(self.repo, own, commit):
                try:
                    self._merge_into(ref, own, commit, own)
                except Conflict:
                    continue  # it is being changed: the next time
        if stale:
            self.repo.refs.delete_many(prefix, stale)
            left = self.repo.refs.items(prefix)
            self.told.dropped += [ref for ref in stale if ref not in left]
        # What is said of a run's ref below is said of what it is now.
        self.here = shared_refs(self.repo)
