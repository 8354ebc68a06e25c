"""Clones of one Git remote whose people register models."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgit.git import Repository
from mlgit.registry.registry import Registry, registry_of
from mlgit.store import remotes
from mlgit.store.gitstore import GitStore
from mlgit.tracking.registered import register

Git = Callable[..., str]


@dataclass
class Member:
    """One person's clone."""

    name: str
    folder: Path
    store: GitStore

    @property
    def registry(self) -> Registry:
        """Their registry."""
        return registry_of(self.store, lambda: self.name.lower())

    def run(self, name: str = "run", artifact: bool = True) -> str:
        """A finished run that logged a model."""
        runs = self.store.runs
        run_id = runs.create("0", run_name=name, owner=True, with_code=True).run_id
        if artifact:
            text = f"flavors: {{}}\nmodel_uuid: '{self.name} {name}'\n"
            self.store.log_bytes(run_id, text.encode(), "model/MLmodel")
        runs.finish(run_id, "FINISHED")
        return str(run_id)

    def register(self, model: str, run_id: str | None = None, **said: Any) -> int:
        """Register a version of a model; of a new run if none is given."""
        source = f"runs:/{run_id or self.run(f'{self.name} {model}')}/model"
        made = register(self.registry, model, source, **said)
        return int(made.version)

    def tags(self) -> dict[str, str]:
        """All tags."""
        return self.store.repo.refs.items("refs/tags/")

    def answers(self) -> dict[str, Any]:
        """All that the registry says, but for when this clone last looked."""
        found: dict[str, Any] = {"problems": self.registry.problems()}
        for model in self.registry.search_models():
            versions = self.registry.search_versions(f"name = '{model.name}'")
            found[model.name] = (
                model.to_dictionary() if hasattr(model, "to_dictionary") else repr(model),
                sorted(repr(version) for version in versions),
            )
        return found


def clone(place: Path, there: Path, name: str) -> Member:
    """A clone of ``there`` whose person is called so."""
    folder = place / name.lower()
    _git(place, "clone", "-q", str(there), str(folder))
    _git(folder, "config", "user.name", name)
    _git(folder, "config", "user.email", f"{name.lower()}@example.com")
    repo = Repository.open(str(folder))
    remotes.add(repo, "storage", str(place / "storage"), local=True)
    return Member(name, folder, GitStore(repo))


def remote(place: Path) -> Path:
    """A bare repository with one commit."""
    there, first = place / "there.git", place / "first"
    _git(place, "init", "-q", "--bare", "-b", "main", str(there))
    _git(place, "clone", "-q", str(there), str(first))
    (first / "train.py").write_text("print('training')\n")
    _git(first, "add", ".")
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    _git(first, *person, "commit", "-q", "-m", "first")
    _git(first, "push", "-q", "origin", "HEAD:main")
    return there


def _git(where: Path, *arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
