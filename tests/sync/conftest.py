"""Two clones of one Git remote, with a folder for their objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlgit.entities import Param
from mlgit.git import Repository
from mlgit.store import remotes
from mlgit.store.fsck import check
from mlgit.store.gitstore import GitStore

Git = Callable[..., str]


@dataclass
class Clone:
    """One clone and its store."""

    folder: Path
    store: GitStore

    def run(self, name: str = "run", experiment: str = "0", artifact: str | None = "") -> str:
        """A finished run."""
        runs = self.store.runs
        run_id = runs.create(experiment, run_name=name, owner=True, with_code=True).run_id
        runs.log_batch(run_id, params=[Param("name", name)])
        for step in range(2):
            runs.log_metric(run_id, "m", step / 2, 1000 + step, step)
        if artifact is not None:
            self.store.log_bytes(run_id, (artifact or name).encode(), "notes/name.txt")
        runs.finish(run_id, "FINISHED")
        return str(run_id)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """Amend a run."""
        self.store.runs.set_tag(run_id, key, value)

    def tags(self, run_id: str) -> dict[str, str]:
        """A run's tags, MLflow's own left out."""
        tags = self.store.runs.get(run_id).data.tags
        return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}

    def ref(self, run_id: str) -> str | None:
        """The commit of a run."""
        found = self.store.runs.committer.find_ref(run_id)
        return found and found[1]

    def refs(self) -> dict[str, str]:
        """All of mlgit's refs."""
        return self.store.repo.refs.items("refs/mlgit/")


@pytest.fixture
def there(tmp_path: Path, git: Git) -> Path:
    """The Git remote."""
    folder = tmp_path / "there.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(folder))
    return folder


@pytest.fixture
def clones(repo_dir: Path, tmp_path: Path, there: Path, git: Git) -> Iterator[tuple[Clone, Clone]]:
    """Two clones, ``origin`` in both; their objects' remote is a folder."""
    git(repo_dir, "remote", "add", "origin", str(there))
    git(repo_dir, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", str(there), "second")
    made = []
    for folder in (repo_dir, tmp_path / "second"):
        repo = Repository.open(str(folder))
        remotes.add(repo, "storage", str(tmp_path / "storage"), local=True)
        made.append(Clone(folder, GitStore(repo)))
    yield made[0], made[1]
    for clone in made:
        clone.store.close()


@pytest.fixture
def sound(there: Path, git: Git) -> Callable[..., None]:
    """Checks that Git and mlgit find nothing wrong in clones, nor Git in their remote."""

    def look(*clones: Clone, objects: bool = True) -> None:
        for folder in (there, *(clone.folder for clone in clones)):
            found = git(folder, "fsck", "--strict", "--no-dangling", "--connectivity-only")
            assert "missing" not in found and "broken" not in found, found
        for clone in clones:
            report = check(clone.store, objects=objects)
            assert not report.problems, report.problems
            assert not clone.store.repo.refs.items("refs/mlgit/outgoing/")

    return look
