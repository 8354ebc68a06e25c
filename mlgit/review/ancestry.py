"""The history of commits: parents, and where two lines of it parted."""

from __future__ import annotations

import heapq

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.git.commits import parse_commit

_OURS, _THEIRS, _STALE = 1, 2, 4


def parent(repo: Repository, commit: str, n: int) -> str:
    """A commit's n-th parent, counted from 1.

    Raises:
        ResourceDoesNotExist: It hasn't that many.
    """
    parents = parse_commit(repo.objects.commit(commit)).parents
    if n > len(parents):
        what = "no parent" if not parents else f"no parent number {n}"
        raise ResourceDoesNotExist(f"The commit {commit[:10]} has {what}")
    return parents[n - 1]


def merge_base(repo: Repository, ours: str, theirs: str) -> str:
    """The newest commit that two commits' histories share.

    Raises:
        InvalidParameterValue: They share none.
    """
    if ours == theirs:
        return ours
    flags = {ours: _OURS, theirs: _THEIRS}
    queue: list[tuple[int, str]] = []
    for sha in flags:
        heapq.heappush(queue, (-_date(repo, sha), sha))
    found: list[tuple[int, str]] = []
    # Git's way: paint both histories from their tips, newest first; what both colours reach
    # is common, and all that lies below it is stale.
    while any(not flags[sha] & _STALE for _, sha in queue):
        date, sha = heapq.heappop(queue)
        paint = flags[sha]
        if paint & (_OURS | _THEIRS) == _OURS | _THEIRS:
            if not paint & _STALE:
                found.append((date, sha))
            paint |= _STALE
        for above in _parents(repo, sha):
            if flags.get(above, 0) | paint != flags.get(above, 0):
                flags[above] = flags.get(above, 0) | paint
                heapq.heappush(queue, (-_date(repo, above), above))
    best = sorted((date, sha) for date, sha in found if not flags[sha] & _STALE) or sorted(found)
    if not best:
        raise InvalidParameterValue(
            f"{ours[:10]} and {theirs[:10]} have no commit in common",
            hint="compare them with A..B; in a shallow clone: git fetch --unshallow",
        )
    return best[0][1]


def _parents(repo: Repository, sha: str) -> tuple[str, ...]:
    # A shallow clone's oldest commits name parents that aren't there.
    return tuple(p for p in parse_commit(repo.objects.commit(sha)).parents if _there(repo, p))


def _there(repo: Repository, sha: str) -> bool:
    try:
        return repo.objects.read(sha)[0] == "commit"
    except ResourceDoesNotExist:
        return False


def _date(repo: Repository, sha: str) -> int:
    words = parse_commit(repo.objects.commit(sha)).committer.split()
    return int(words[-2]) if len(words) > 1 and words[-2].isdecimal() else 0


def since(repo: Repository, tip: str, base: str | None, most: int) -> list[str]:
    """The commits that one commit has and another hasn't, newest first.

    Args:
        repo: The repository.
        tip: The one.
        base: The other; None for all that ``tip`` has.
        most: The most commits to give.
    """
    # As in ``merge_base``: whatever the base reaches is painted before it is given, but for
    # clocks that were wrong; then some commits too many are given.
    flags = {tip: _OURS}
    if base is not None:
        flags[base] = flags.get(base, 0) | _THEIRS
    queue = [(-_date(repo, sha), sha) for sha in flags]
    heapq.heapify(queue)
    found: list[str] = []
    while len(found) < most and any(not flags[sha] & _THEIRS for _, sha in queue):
        _, sha = heapq.heappop(queue)
        if not flags[sha] & _THEIRS:
            found.append(sha)
        for above in _parents(repo, sha):
            if flags.get(above, 0) | flags[sha] != flags.get(above, 0):
                flags[above] = flags.get(above, 0) | flags[sha]
                heapq.heappush(queue, (-_date(repo, above), above))
    return [sha for sha in dict.fromkeys(found) if not flags[sha] & _THEIRS]
