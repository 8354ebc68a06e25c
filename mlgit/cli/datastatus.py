"""The data section of ``mlgit status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlgit.cli.add import content, entry_dict
from mlgit.cli.output import Output, one_line, plural, safe

if TYPE_CHECKING:
    from mlgit.worktree.status import PathState

_MOST_SHOWN = 40
_COLORS = {"new": "green", "modified": "yellow", "deleted": "red", "odd": "red"}


def as_dict(state: PathState) -> dict[str, Any]:
    """One path's state, for JSON."""
    return {
        "path": state.path,
        **(entry_dict(state.entry) if state.entry else {}),
        "clean": state.clean,
        "checked_out": not state.absent,
        "changes": [
            {
                "path": _join(state.path, change.path),
                "status": change.status,
                **({"why": change.odd} if change.odd else {}),
            }
            for change in _shown(state)
        ],
        "objects_missing_here": state.not_here,
        "objects_missing_on_remote": state.not_remote,
        "problem": state.problem.message if state.problem else None,
    }


def as_text(states: list[PathState], out: Output) -> list[str]:
    """The lines for a terminal."""
    if not states:
        return []
    total = plural(len(states), "path")
    if all(state.clean for state in states):
        return ["", f"data: {total}, nothing changed"]
    lines = ["", f"data ({total}; mlgit add keeps changes, mlgit checkout undoes them):"]
    rows = [row for state in states for row in _rows(state)]
    for status, text in rows[:_MOST_SHOWN]:
        lines.append(f"  {out.style(f'{status:9}', _COLORS.get(status))} {text}")
    if len(rows) > _MOST_SHOWN:
        lines.append(f"  … and {len(rows) - _MOST_SHOWN} more (--json names all)")
    return lines


def _rows(state: PathState) -> list[tuple[str, str]]:
    if state.problem is not None:
        text = safe(state.problem.message).replace("\n", "\n    ")
        hint = f" ({safe(state.problem.hint)})" if state.problem.hint else ""
        return [("problem", f"{one_line(state.path)}: {text}{hint}")]
    rows = []
    if state.absent and state.entry is not None:
        rows.append(("deleted", f"{one_line(state.path)} ({content(state.entry)})"))
    for change in _shown(state):
        name = one_line(_join(state.path, change.path))
        if change.odd:
            rows.append(("odd", f"{name} is {change.odd}, which can't be data"))
        elif change.want is not None and change.want.kind == "d":
            rows.append((change.status, f"{name}/ ({content(change.want)})"))
        else:
            rows.append((change.status, name))
    for count, where in ((state.not_here, "in this clone"), (state.not_remote, "on the remote")):
        if count:
            rows.append(("missing", f"{one_line(state.path)}: {_objects(count)} {where}"))
    return rows


def _objects(count: int) -> str:
    return "1 object isn't" if count == 1 else f"{count} objects aren't"


def _shown(state: PathState) -> list[Any]:
    """The changes, without folders whose files are named each."""
    return [
        change
        for change in state.changes
        if change.want is not None or change.have is None or change.have.kind != "d"
        or not change.have.files
    ]  # fmt: skip


def _join(path: str, below: str) -> str:
    return f"{path}/{below}" if below else path
