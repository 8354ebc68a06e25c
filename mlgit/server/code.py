"""The code of a run as it ran, and what it differs by from the commit below it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flask import Blueprint, render_template

from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.git.trees import FOLDER, entry, parse_tree
from mlgit.server.shown_run import ShownRun, shown_run

pages = Blueprint("code", __name__)
_LINK = b"120000"
_MODULE = b"160000"
MOST_BYTES = 512 * 1024
_MOST_ENTRIES = 2000
_KINDS = {FOLDER: "folder", _LINK: "link", _MODULE: "submodule"}


@dataclass(frozen=True)
class Item:
    """One entry of a folder of code: "folder", "link", "submodule" or "file"."""

    name: str
    path: str
    kind: str


@pages.get("/runs/<run_id>/changes")
def changes(run_id: str) -> str:
    """What the code differs by from the commit that was checked out."""
    run = shown_run(run_id)
    return render_template("run/changes.html", run=run, code=run.code_changes())


@pages.get("/runs/<run_id>/code/")
@pages.get("/runs/<run_id>/code/<path:path>")
def browse(run_id: str, path: str = "") -> str:
    """A folder or a file of the code."""
    run = shown_run(run_id)
    mode, sha = _find(run, path)
    if mode == FOLDER:
        return render_template("run/code.html", run=run, path=path, items=_items(run, sha, path))
    if mode == _MODULE:
        return render_template(
            "run/code.html", run=run, path=path, note=f"Commit {sha} of a submodule"
        )
    data = run.store.repo.objects.blob(sha)
    note = "A link to" if mode == _LINK else ""
    if b"\0" in data[:8000]:
        return render_template("run/code.html", run=run, path=path, note="This file isn't text.")
    text = data[:MOST_BYTES].decode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        note = f"The first {MOST_BYTES // 1024} KiB of the file:"
    return render_template("run/code.html", run=run, path=path, lines=text.splitlines(), note=note)


def _find(run: ShownRun, path: str) -> tuple[bytes, str]:
    """What is at a path of the run's tree. Git's trees hold names; nothing is looked up on disk."""
    if run.revision.tree is None:
        raise ResourceDoesNotExist(
            "This run has no code recorded", hint="it was logged without a worktree"
        )
    mode, sha = FOLDER, run.revision.tree
    for part in path.split("/") if path else []:
        if part in ("", ".", ".."):
            raise InvalidParameterValue(f"{path[:200]!r} is no path of the code")
        found = None
        if mode == FOLDER:
            found = entry(run.store.repo.objects.tree(sha), os.fsencode(part))
        if found is None:
            raise ResourceDoesNotExist(
                f"The code of this run has no {path[:200]}", hint="the run's Code lists what it has"
            )
        mode, sha = found
    return mode, sha


def _items(run: ShownRun, tree: str, path: str) -> list[Item]:
    prefix = f"{path}/" if path else ""
    found = []
    for raw, mode, _ in parse_tree(run.store.repo.objects.tree(tree)):
        name = os.fsdecode(raw)
        found.append(Item(name, prefix + name, _KINDS.get(mode, "file")))
        if len(found) == _MOST_ENTRIES:
            break
    return sorted(found, key=lambda item: (item.kind != "folder", item.name))
