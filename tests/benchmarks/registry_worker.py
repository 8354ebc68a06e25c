"""One measurement of a registry, in a process of its own.

    python registry_worker.py mlgit|mlflow|gto TASK STORE '{"argument": value}'

Prints one JSON object: {"wall": [seconds], "cpu": [seconds], "answer": …}, one number a repetition, a
first one (connections, imports) left out if "warm" says so. Run by ``registry.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


class ByClient:
    """mlgit and MLflow: the same calls of the same client."""

    def __init__(self, package: str, store: str) -> None:
        if package == "mlflow":
            from mlflow import MlflowClient as Client

            self.client = Client(store, store)
        else:
            from mlgit import MlgitClient

            self.client = MlgitClient(store)

    def alias(self, name: str, number: int) -> Any:
        return int(self.client.get_model_version_by_alias(name, "champion").version)

    def search(self, name: str, number: int) -> Any:
        return len(self.client.search_model_versions(f"name='{name}'"))

    def latest(self, name: str, number: int) -> Any:
        return [int(v.version) for v in self.client.get_latest_versions(name)]

    def list(self, name: str, number: int) -> Any:
        return len(self.client.search_registered_models(max_results=1000))

    def register(self, name: str, number: int) -> Any:
        self.client.create_model_version(name, f"s3://bucket/{number}")

    def transition(self, name: str, number: int) -> Any:
        self.client.transition_model_version_stage(name, str(1 + number % 2), "Production", True)


class ByGto:
    """GTO: what comes nearest, by its Python API."""

    def __init__(self, package: str, store: str) -> None:
        from gto import api

        self.api, self.store = api, store

    def alias(self, name: str, number: int) -> Any:
        return _major(self.api.show(self.store, f"{name}#champion")[0]["version"])

    def search(self, name: str, number: int) -> Any:
        return len(self.api.show(self.store, name))

    def latest(self, name: str, number: int) -> Any:
        return [_major(v["version"]) for v in self.api.show(self.store, f"{name}@latest")]

    def list(self, name: str, number: int) -> Any:
        return len(self.api.show(self.store))

    def register(self, name: str, number: int) -> Any:
        # It takes no two versions on one commit.
        commit = _git(self.store, "commit-tree", "-m", f"{number}", "HEAD^{tree}")
        _git(self.store, "branch", "-f", "next", commit)
        return lambda: self.api.register(self.store, name, commit, bump_major=True)

    def transition(self, name: str, number: int) -> Any:
        self.api.assign(self.store, name, "production", f"v{1 + number % 2}.0.0", force=True)


def _major(version: str) -> int:
    return int(version[1:].split(".")[0])


def _git(store: str, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", store, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def measure(
    call: Callable[[str, int], Any], name: str, times: int, first: int, warm: bool
) -> dict[str, Any]:
    """Call it once, if it is to be warm, and then so often with the clock running."""
    wall: list[float] = []
    cpu: list[float] = []
    answer = None
    for number in range(0 if warm else 1, times + 1):
        begun = (time.perf_counter(), time.process_time())
        answer = call(name, first + number)
        if callable(answer):  # what went before was preparation
            begun = (time.perf_counter(), time.process_time())
            answer = answer() and None
        if number:
            wall.append(time.perf_counter() - begun[0])
            cpu.append(time.process_time() - begun[1])
    return {"wall": wall, "cpu": cpu, "answer": answer}


def main() -> None:
    """The command line."""
    package, task, store, arguments = sys.argv[1:]
    with_clock = dict(json.loads(arguments))
    began = (time.perf_counter(), time.process_time())
    face = (ByGto if package == "gto" else ByClient)(package, store)
    found = measure(
        getattr(face, task),
        with_clock["name"],
        with_clock["times"],
        with_clock["first"],
        with_clock["warm"] or not with_clock["times"],
    )
    if not with_clock["times"]:  # one answer, imports included
        found["wall"] = [time.perf_counter() - began[0]]
        found["cpu"] = [time.process_time() - began[1]]
    sys.stdout.flush()
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
