"""Transport by dulwich, where no ``git`` is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from mlgit import settings
from mlgit.exceptions import MlgitException, from_os_error
from mlgit.git.commits import parse_commit
from mlgit.git.repository import Repository
from mlgit.git.transport import (
    ERROR,
    OK,
    REJECTED,
    GitTransport,
    Result,
    Update,
    below,
    blamed,
    failure,
)

if TYPE_CHECKING:
    from dulwich.client import GitClient
    from dulwich.repo import Repo

_ZERO = b"0" * 40
_PREFIXES = [b"refs/"]


class DulwichTransport(GitTransport):
    """A remote repository by way of dulwich's client; see ``GitTransport``."""

    def _client(self, operation: str) -> tuple[GitClient, str]:
        from dulwich.client import get_transport_and_path

        # As it is configured now: a long-lived process may have read it before.
        now = Repository(self.repo.git_dir, self.repo.worktree)
        url = now.configured("remote", "url", self.remote) or self.remote
        if operation == "push":
            url = now.configured("remote", "pushurl", self.remote) or url
        if "://" not in url and not os.path.isabs(url) and self.repo.worktree:
            beside = os.path.join(self.repo.worktree, url)
            url = beside if os.path.isdir(beside) else url
        with _told("reach", self.remote):
            return get_transport_and_path(
                url,
                config=now.config(),
                operation=operation,
                quiet=True,
                ssh_command=settings.git_ssh(),
            )

    def list_refs(self, prefixes: Sequence[str]) -> dict[str, str]:
        """See ``GitTransport.list_refs``."""
        client, path = self._client("pull")
        with _told("list the refs of", self.remote):
            start = [os.fsencode(prefix) for prefix in prefixes]
            found = client.get_refs(path.encode(), ref_prefix=start).refs
        return below(_named(found.items()), prefixes)

    def fetch(self, refs: dict[str, str]) -> None:
        """See ``GitTransport.fetch``."""
        if not refs:
            return
        wanted = {sha.encode() for sha in refs.values()}
        client, path = self._client("pull")

        def choose(there: dict[bytes, bytes], depth: int | None = None) -> list[bytes]:
            return sorted(wanted & set(there.values()))

        with _told("fetch from", self.remote), _opened(self.repo) as target:
            # What is asked for must be listed: a server need not give what no ref names.
            client.fetch(path, target, choose, ref_prefix=_PREFIXES)  # type: ignore[arg-type]
        self.repo.objects.refresh()

    def push(self, updates: Sequence[Update], *, atomic: bool = False) -> list[Result]:
        """See ``GitTransport.push``."""
        self.heard = ""
        if not updates:
            return []
        rejected: dict[str, Result] = {}
        sent: dict[str, str | None] = {}

        def choose(there: dict[bytes, bytes]) -> dict[bytes, bytes]:
            changes = {}
            for ref, new, old in updates:
                now = there.get(os.fsencode(ref))
                if now != (old and old.encode()) and now != (new and new.encode()):
                    rejected[ref] = Result(ref, REJECTED, "fetch first")
                elif now is not None and new is not None and not self._contains(new, now.decode()):
                    rejected[ref] = Result(ref, REJECTED, "non-fast-forward")
                elif now != (new and new.encode()):
                    sent[ref] = new
                    changes[os.fsencode(ref)] = new.encode() if new else _ZERO
            if atomic and rejected:
                for ref in sent:
                    rejected[ref] = Result(ref, REJECTED, "atomic push failed")
                return {}
            return changes

        answer = self._send(choose, atomic)
        status = {os.fsdecode(ref): why for ref, why in (answer.ref_status or {}).items()}
        results = []
        for ref, _, _ in updates:
            why = status.get(ref) if ref in sent else None
            reason = why.decode("utf-8", "replace") if isinstance(why, bytes) else why
            results.append(rejected.get(ref) or Result(ref, *_verdict(reason)))
        return blamed(results) if atomic else results

    def _send(self, choose: Callable[[Any], Any], atomic: bool) -> Any:
        """Send what is chosen, all or none where that is asked for and can be done."""
        heard: list[bytes] = []
        client, path = self._client("push")
        with _told("push to", self.remote), _opened(self.repo) as source:
            call: Any = client.send_pack
            send = partial(call, path, choose, source.generate_pack_data)
            try:
                answer = send(progress=heard.append, **({"atomic": True} if atomic else {}))
            except Exception as error:
                # An old dulwich doesn't know the argument; an old server can't do it.
                unknown = isinstance(error, TypeError) and "'atomic'" in str(error)
                if not atomic or not (unknown or "not support atomic" in str(error)):
                    raise
                self.torn = True
                answer = send(progress=heard.append)
        said = b"".join(heard).decode("utf-8", "replace").splitlines()
        self.heard = "\n".join(line.strip() for line in said if line.strip())
        return answer

    def _contains(self, newer: str, older: str) -> bool:
        """Whether a commit stands on another; False where it isn't here."""
        pending, seen = [newer], {newer}
        while pending:
            sha = pending.pop()
            if sha == older:
                return True
            try:
                parents = parse_commit(self.repo.objects.commit(sha)).parents
            except MlgitException:
                continue
            pending += [parent for parent in parents if parent not in seen]
            seen.update(parents)
        return False


def _verdict(reason: str | None) -> tuple[str, str]:
    if not reason:
        return OK, ""
    raced = "unable to" in reason or "lock" in reason or "failed to update" in reason
    return (REJECTED if raced else ERROR), reason


def clone(url: str, folder: str, *, bare: bool) -> None:
    """See ``transport.clone``."""
    from dulwich import porcelain

    with _told("clone", url), open(os.devnull, "wb") as nowhere:
        made = porcelain.clone(url, folder, bare=bare, errstream=nowhere)
        made.close()


@contextmanager
def _opened(repo: Repository) -> Iterator[Repo]:
    from dulwich.repo import Repo

    opened = Repo(repo.worktree or repo.git_dir)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def _told(doing: str, remote: str) -> Iterator[None]:
    """Turn what dulwich raises into errors of mlgit's."""
    try:
        yield
    except (MlgitException, KeyboardInterrupt):
        raise
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise failure(doing, remote, str(error)) from error
        raise from_os_error(error, f"{doing} {remote}") from error
    except Exception as error:
        known = {"NotGitRepository": "does not appear to be a git repository"}
        known["HTTPUnauthorized"] = "authentication failed"
        said = str(error) or type(error).__name__
        raise failure(doing, remote, f"{said}: {known.get(type(error).__name__, '')}") from error


def _named(refs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, str]]:
    for name, sha in refs:
        text = os.fsdecode(name)
        if sha is not None and not text.endswith("^{}"):
            yield text, sha.decode("ascii")
