"""Names of people's things as file names, and of refs, as docs/format.md has them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable

from mlgit.exceptions import CorruptData
from mlgit.validation import MAX_EXPERIMENT_NAME

RUNS = "refs/mlgit/runs/"
EXPERIMENTS = "refs/mlgit/experiments/"
ARCHIVE = "refs/mlgit/archive/"
SNAPSHOTS = "refs/mlgit/snapshots/"
RECORDS = ".mlgit/experiments/"
DEFAULT_EXPERIMENT_ID = "0"
DEFAULT_EXPERIMENT = "Default"

_SAFE = frozenset("-_.+=@,() ")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|\Z)", re.IGNORECASE)
_RUN_REF = re.compile(r"^refs/mlgit/runs/([^/]+)/([^/]+)\Z")


def run_ref(experiment_id: str, run_id: str) -> str:
    """The ref of a run."""
    return f"{RUNS}{experiment_id}/{run_id}"


def parse_run_ref(ref: str) -> tuple[str, str]:
    """The (experiment id, run id) of a run's ref.

    Raises:
        CorruptData: It isn't one.
    """
    match = _RUN_REF.match(ref)
    if not match:
        raise CorruptData(f"{ref} isn't the ref of a run", hint=f"git update-ref -d {ref}")
    return match[1], match[2]


def experiment_id_for(name: str, attempt: int) -> str:
    """The id of an experiment, made from its name so that clones agree on it."""
    digest = hashlib.sha256(
        f"mlgit experiment\0{name}\0{attempt}".encode("utf-8", "surrogatepass")
    ).digest()
    return str(int.from_bytes(digest[:8], "big") % (9 * 10**14) + 10**14)


def experiment_for_branch(branch: str) -> str:
    """The name of the experiment of a branch's runs: the branch's, as far as it can be one."""
    text = os.fsencode(branch).decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)
    return shown[:MAX_EXPERIMENT_NAME]


def file_name(name: str, *, upper: bool = False) -> str:
    """The file name for a name (docs/format.md, "File names").

    Args:
        name: Any text.
        upper: Encode upper-case letters too.
    """
    parts = [_encoded(c, upper) for c in name]
    if parts and (parts[0] in ".- " or _RESERVED.match(name)):
        parts[0] = _percent(name[0])
    if parts and name[-1] in ". ":
        parts[-1] = _percent(name[-1])
    whole = "".join(parts)
    if len(whole.encode()) <= 200:
        return whole
    cut, size = [], 0
    for part in parts:
        size += len(part.encode())
        if size > 160:
            break
        cut.append(part)
    return "".join(cut) + "~" + hashlib.sha256(name.encode()).hexdigest()[:32]


def _encoded(char: str, upper: bool) -> str:
    if (char.isalnum() or char in _SAFE) and not (upper and char != char.lower()):
        return char
    return _percent(char)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def file_names(names: Iterable[str]) -> dict[str, str]:
    """File names for all the names of one folder, distinct even where case is ignored."""
    names = list(names)
    seen: dict[str, int] = {}
    for name in names:
        seen[name.casefold()] = seen.get(name.casefold(), 0) + 1
    return {name: file_name(name, upper=seen[name.casefold()] > 1) for name in names}
