"""What differs between two revisions of real repositories."""

from __future__ import annotations

import math
import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mlgit.review.code import FileChange
from mlgit.review.compare import Comparison, compare
from mlgit.review.metrics import MetricChange, direction
from mlgit.review.revisions import resolve
from mlgit.review.textdiff import MAX_BYTES, matches, text_diff

NAN, INF = math.nan, math.inf


def diff(place: Any, a: str, b: str) -> Comparison:
    return compare(place.store, resolve(place.store, a), resolve(place.store, b))


def files(found: Comparison) -> dict[str, FileChange]:
    return {change.path: change for change in found.code.files}


def states(changes: Any) -> dict[str, str]:
    return {change.name: change.status for change in changes}


# -- what runs logged


def test_params_metrics_and_tags(place: Any) -> None:
    place.run(
        "a",
        params={"lr": "0.1", "gone": "1", "same": "s"},
        metrics={"acc": 0.5, "loss": 2.0, "only_old": 1.0},
        tags={"team": "x", "mlflow.source.name": "t.py", "mlgit.other": "1"},
    )
    place.run(
        "b",
        params={"lr": "0.2", "come": "2", "same": "s"},
        metrics={"acc": 0.75, "loss": 2.0},
        tags={"team": "y", "mlflow.note.content": "hello"},
    )
    found = diff(place, "a", "b")
    (run,) = found.runs
    assert states(run.params) == {
        "lr": "changed",
        "gone": "removed",
        "come": "added",
        "same": "unchanged",
    }
    lr = next(c for c in run.params if c.name == "lr")
    assert (lr.old, lr.new) == ("0.1", "0.2")
    assert states(run.tags) == {"team": "changed", "mlflow.note.content": "added"}
    metrics = {m.name: m for m in run.metrics}
    acc = metrics["acc"]
    assert (acc.old, acc.new, acc.change, acc.relative, acc.verdict) == (
        0.5,
        0.75,
        0.25,
        0.5,
        "better",
    )
    assert metrics["only_old"].new is None and metrics["only_old"].change is None
    assert metrics["loss"].status == "unchanged" and metrics["loss"].verdict is None
    assert run.old is not None and run.old.status == "FINISHED" and run.old.duration == 500
    assert not found.code.files
    assert found.differs() and found.differs(["params"]) and not found.differs(["artifacts"])


def test_equal_runs_do_not_differ(place: Any) -> None:
    for name in ("a", "b"):
        place.run(name, params={"x": "1"}, metrics={"m": NAN})
    found = diff(place, "a", "b")
    assert not found.differs()
    assert states(found.runs[0].metrics) == {"m": "unchanged"}


@pytest.mark.parametrize(
    ("old", "new", "change", "relative", "verdict"),
    [
        (1.0, 2.0, 1.0, 1.0, "worse"),
        (-2.0, -1.0, 1.0, 0.5, "worse"),
        (0.0, 1.0, 1.0, None, "worse"),
        (NAN, 1.0, None, None, "better"),
        (1.0, NAN, None, None, "worse"),
        (INF, 1.0, -INF, None, "better"),
        (1.0, INF, INF, None, "worse"),
        (INF, -INF, -INF, None, "better"),
        (1e308, -1e308, -INF, None, "better"),
        (NAN, NAN, 0.0, None, None),
        (INF, INF, 0.0, None, None),
        (None, 1.0, None, None, None),
        (5e-324, 1e308, 1e308, None, "worse"),
    ],
)
def test_changes_of_a_metric(
    old: float | None, new: float, change: float | None, relative: float | None, verdict: str | None
) -> None:
    found = MetricChange("loss", old, new, "min")
    assert (found.change, found.relative, found.verdict) == (change, relative, verdict)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val_loss", "min"),
        ("train/loss", "min"),
        ("valLoss", "min"),
        ("MSELoss", "min"),
        ("RMSE", "min"),
        ("mean_absolute_error", "min"),
        ("neg_mean_squared_error", "max"),
        ("accuracy", "max"),
        ("val_acc", "max"),
        ("balancedaccuracy", "max"),
        ("roc_auc", "max"),
        ("R2", "max"),
        ("r2_score", "max"),
        ("F1-score", "max"),
        ("precision.macro", "max"),
        ("accuracy_loss", None),
        ("learning_rate", None),
        ("epoch", None),
        ("terror", "min"),
        ("", None),
        ("Verlust", None),
    ],
)
def test_direction_by_name(name: str, expected: str | None) -> None:
    assert direction(name, {}) == expected


def test_a_declared_direction_wins(place: Any) -> None:
    tag = {"mlgit.direction.acc": "min", "mlgit.direction.cost": "MAX", "mlgit.direction.x": "up"}
    place.run("a", metrics={"acc": 1.0, "cost": 1.0, "x": 1.0})
    place.run("b", metrics={"acc": 2.0, "cost": 2.0, "x": 2.0}, tags=tag)
    (run,) = diff(place, "a", "b").runs
    assert {m.name: m.verdict for m in run.metrics} == {"acc": "worse", "cost": "better", "x": None}
    assert not run.tags, "directions aren't tags of the person's"


def test_datasets_and_environment(place: Any) -> None:
    def log(*pairs: tuple[str, str]) -> Any:
        sets = [{"name": n, "digest": d, "source_type": "local", "source": "{}"} for n, d in pairs]
        return lambda run_id: place.store.runs.log_inputs(run_id, sets)

    one = {"python": "3.11.1", "platform": "Linux", "packages": {"numpy": "1.0", "old": "1"}}
    two = {"python": "3.12.0", "platform": "Linux", "packages": {"numpy": "2.0", "new": "1"}}
    place.run("a", environment=one, before_end=log(("w", "1"), ("same", "s"), ("many", "1")))
    place.run(
        "b",
        environment=two,
        before_end=log(("w", "2"), ("same", "s"), ("many", "2"), ("many", "3")),
    )
    place.run("c")
    (run,) = diff(place, "a", "b").runs
    found = [(d.name, d.old, d.new) for d in run.datasets]
    assert found == [
        ("many", "1", None),
        ("many", None, "2"),
        ("many", None, "3"),
        ("same", "s", "s"),
        ("w", "1", "2"),
    ]
    assert states(run.environment.system) == {"python": "changed", "platform": "unchanged"}
    packages = {"numpy": "changed", "old": "removed", "new": "added"}
    assert states(run.environment.packages) == packages
    (other,) = diff(place, "a", "c").runs
    assert other.environment.missing == ("new",)


def test_artifacts(place: Any, tmp_path: Path) -> None:
    def log(texts: dict[str, str], *, folder: bool = False) -> Any:
        def work(run_id: str) -> None:
            for name, text in texts.items():
                place.store.log_bytes(run_id, text.encode(), name)

        return work

    place.run("a", before_end=log({"m/w.bin": "1", "m/same": "s", "gone/x": "x", "k": "f"}))
    place.run("b", before_end=log({"m/w.bin": "2", "m/same": "s", "new.txt": "n", "k/in": "d"}))
    (run,) = diff(place, "a", "b").runs
    assert [(c.path, c.status) for c in run.artifacts] == [
        ("gone", "removed"),
        ("k", "removed"),
        ("k", "added"),
        ("m/w.bin", "changed"),
        ("new.txt", "added"),
    ]


@pytest.mark.parametrize("damage", [False, True])
def test_folders_whose_manifest_is_not_here(place: Any, damage: bool) -> None:
    for name in ("a", "b"):
        place.run(
            name, before_end=lambda r, n=name: place.store.log_bytes(r, n.encode(), "deep/er/f")
        )
    entry = place.store.runs.record(resolve(place.store, "b").run_id).artifacts["deep"]
    path = place.store.objects.path(entry.sha256)
    os.chmod(path, 0o600)
    if damage:
        Path(path).write_bytes(b"mlgit-manifest 1\nbroken")
    else:
        os.unlink(path)
    (run,) = diff(place, "a", "b").runs
    (change,) = run.artifacts
    assert change.path == "deep" and change.new == entry
    assert ("damaged" in change.note) if damage else ("isn't in this clone" in change.note)


# -- code


def test_code_as_it_ran(place: Any) -> None:
    place.write("gone.txt", "bye\n")
    place.write("keep.txt", "kept\n")
    place.write("bin.dat", b"\0\1")
    place.write("old_name.py", "def f():\n    return 1\n")
    place.commit()
    place.run("a")
    place.write("train.py", "import x\nlr = 0.2\nprint(lr)\n")  # not committed
    place.write("bin.dat", b"\0\2")
    place.write("pkg/new.py", "print()")
    os.unlink(place.path / "gone.txt")
    os.rename(place.path / "old_name.py", place.path / "new_name.py")
    os.chmod(place.path / "keep.txt", 0o755)
    place.run("b")
    assert place.git("diff", "--cached") == ""
    found = diff(place, "a", "b")
    by_path = files(found)
    assert {p: c.status for p, c in by_path.items()} == {
        "bin.dat": "modified",
        "gone.txt": "removed",
        "keep.txt": "modified",
        "new_name.py": "renamed",
        "pkg/new.py": "added",
        "train.py": "modified",
    }
    assert by_path["train.py"].diff == (
        "--- a/train.py\n+++ b/train.py\n@@ -1,3 +1,3 @@\n import x\n-lr = 0.1\n+lr = 0.2\n print(lr)\n"
    )
    assert by_path["bin.dat"].binary and not by_path["bin.dat"].diff
    assert by_path["new_name.py"].old_path == "old_name.py"
    assert by_path["keep.txt"].note == "mode 100644 → 100755"
    assert by_path["pkg/new.py"].diff.endswith("+print()\n\\ No newline at end of file\n")
    assert by_path["gone.txt"].diff.startswith("--- a/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n")
    assert found.runs[0].new is not None and found.runs[0].new.dirty


def test_names_that_are_not_utf8_or_hold_newlines(place: Any) -> None:
    place.run("a")
    place.write(b"caf\xe9.txt", "x\n")
    place.write("two\nlines.txt", "x y\n")
    place.run("b")
    by_path = files(diff(place, "a", "b"))
    assert set(by_path) == {"caf\udce9.txt", "two\nlines.txt"}
    assert "+++ b/caf\\xe9.txt\n" in by_path["caf\udce9.txt"].diff
    assert "+++ b/two\\nlines.txt\n" in by_path["two\nlines.txt"].diff


def test_a_file_that_became_a_folder_and_a_link(place: Any) -> None:
    place.write("thing", "file\n")
    place.write("target", "t\n")
    os.symlink("target", place.path / "link")
    place.run("a")
    os.unlink(place.path / "thing")
    place.write("thing/inside", "now a folder\n")
    os.unlink(place.path / "link")
    os.symlink("train.py", place.path / "link")
    place.run("b")
    by_path = files(diff(place, "a", "b"))
    states = {p: c.status for p, c in by_path.items()}
    assert states == {"thing": "removed", "thing/inside": "added", "link": "modified"}
    assert "-target\n" in by_path["link"].diff and by_path["link"].new_mode == "120000"


def test_a_submodule(place: Any) -> None:
    for n, sha in enumerate(("1" * 40, "2" * 40)):
        place.git("update-index", "--add", "--cacheinfo", f"160000,{sha},sub")
        place.git("commit", "-q", "-m", str(n))
    (change,) = diff(place, "HEAD~1", "HEAD").code.files
    assert f"-Subproject commit {'1' * 40}\n" in change.diff


def test_records_are_not_code(place: Any) -> None:
    run_id = place.run("a", params={"x": "1"})
    place.git("merge", "-q", "--ff-only", place.commit_of(run_id))
    found = diff(place, "HEAD~1", "HEAD")
    assert not found.code.files
    assert states(found.runs[0].params) == {"x": "added"}
    place.write(".mlgit/other", "by hand\n")
    assert set(files(diff(place, "HEAD", "worktree"))) == {".mlgit/other"}


def test_bare_repositories_have_no_code(bare: Any) -> None:
    bare.run("a", params={"x": "1"})
    bare.run("b", params={"x": "2"})
    found = diff(bare, "a", "b")
    assert found.code.missing == ("old", "new") and not found.code.files
    assert found.differs(["params"]) and not found.differs(["code"])


def test_one_side_without_code(place: Any) -> None:
    runs = place.store.runs
    record = runs.create("0", run_name="client")
    runs.finish(record.run_id, "FINISHED")
    place.run("b")
    found = diff(place, "client", "b")
    assert found.code.missing == ("old",) and found.differs(["code"])


def test_a_going_run(place: Any) -> None:
    place.run("a", params={"x": "1"})
    place.write("train.py", "changed\n")
    run_id = place.run(
        "b", params={"x": "2"}, metrics={"m": 1.0}, environment={"python": "3"}, finish=False
    )
    found = diff(place, "a", "b")
    (run,) = found.runs
    assert states(run.params) == {"x": "changed"} and states(run.metrics) == {"m": "added"}
    assert run.new is not None and run.new.status == "RUNNING" and run.new.duration is None
    assert run.environment.missing == ("old",)
    assert set(files(found)) == {"train.py"}
    place.store.runs.checkpoint(run_id)
    assert diff(place, "a", "b").runs[0].environment.missing == ("old",)
    place.store.runs.finish(run_id, "FINISHED")


def test_a_missing_blob_is_reported(place: Any) -> None:
    sha = place.git("hash-object", "-w", "train.py")
    place.write("train.py", "other\n")
    place.commit()
    os.unlink(place.path / ".git/objects" / sha[:2] / sha[2:])
    (change,) = diff(place, "HEAD~1", "HEAD").code.files
    assert change.note == "its content isn't in this clone" and change.status == "modified"


# -- several records in a commit


def test_records_are_matched_by_experiment(place: Any) -> None:
    other = place.store.experiments.create("other")
    first = place.run("a", params={"x": "1"})
    place.git("merge", "-q", "--ff-only", place.commit_of(first))
    place.commit("between")
    second = place.run("o", params={"y": "1"}, experiment=other)
    place.git("merge", "-q", "--ff-only", place.commit_of(second))
    place.commit("tip")
    found = diff(place, "HEAD~2", "HEAD")  # one record against two
    assert [(r.folder, r.old is None, r.new is None) for r in found.runs] == [
        ("other", True, False)
    ], "the record that is the same on both sides is left out"
    new = place.run("again", params={"x": "2"})
    (run,) = diff(place, "HEAD", new).runs
    assert run.folder == "Default" and states(run.params) == {"x": "changed"}
    (run,) = diff(place, "HEAD", second).runs
    assert run.folder == "other" and states(run.params) == {"y": "unchanged"}
    assert diff(place, "HEAD", "HEAD").runs == ()


# -- diffs of text


def apply(old: list[str], text: str) -> list[str]:
    """What a unified diff makes of some lines (all of them ended)."""
    made: list[str] = []
    at = 0
    for line in text.splitlines(keepends=True):
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            first = int(start) - (0 if count == "0" else 1)
            made += old[at:first]
            at = first
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert old[at] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            at += 1
    return made + old[at:]


def test_a_diff_makes_the_new_file_and_is_minimal(tmp_path: Path) -> None:
    dice = random.Random(7)
    for _ in range(300):
        old = [f"{dice.randrange(6)}\n" for _ in range(dice.randrange(30))]
        new = [f"{dice.randrange(6)}\n" for _ in range(dice.randrange(30))]
        if dice.random() < 0.5:
            new = [line for line in old if dice.random() < 0.8] + new[:3]
        found = text_diff("".join(old).encode(), "".join(new).encode())
        assert apply(old, found.text) == new
        assert (found.removed or 0) + (found.added or 0) == len(old) + len(new) - 2 * lcs(old, new)


def lcs(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b):
            row[j + 1] = before[j] + 1 if x == y else max(before[j + 1], row[j])
    return row[-1]


def test_a_diff_is_git_s(tmp_path: Path) -> None:
    old = "".join(f"line {i}\n" for i in range(200))
    new = old.replace("line 20\n", "twenty\n").replace("line 100\n", "").replace("line 103\n", "x")
    (tmp_path / "a").write_text(old)
    (tmp_path / "b").write_text(new)
    command = ["git", "diff", "--no-index", "--no-color", "a", "b"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    lines = shown.split("+++ b/b\n")[1].splitlines()
    # Git names the function after a hunk's second @@.
    expected = [ln[: ln.rindex("@@") + 2] if ln.startswith("@@") else ln for ln in lines]
    assert text_diff(old.encode(), new.encode()).text.splitlines() == expected


@pytest.mark.parametrize("kind", ["different", "reversed", "alternating", "blank"])
def test_large_files_are_quick(kind: str) -> None:
    n = 20_000
    old = [f"a{i}\n" for i in range(n)]
    new = {
        "different": [f"b{i}\n" for i in range(n)],
        "reversed": old[::-1],
        "alternating": [x if i % 2 else f"c{i}\n" for i, x in enumerate(old)],
        "blank": ["\n"] * n,
    }[kind]
    began = time.monotonic()
    found = text_diff("".join(old).encode(), "".join(new).encode())
    assert time.monotonic() - began < 5
    assert found.note == "cut after 2000 lines" and found.text.count("\n") == 2000
    assert found.added is not None


def test_what_is_too_large_or_too_long() -> None:
    assert "larger than" in text_diff(b"x\n" * MAX_BYTES, b"").note
    found = text_diff(b"a" * 5000 + b"\n", b"\xff\xfe\x01\n")
    assert len(found.text) < 1200 and "+\\xff\\xfe\x01\n" in found.text
    assert matches([1], [2], 1) is None and matches([], [], 0) == []


def test_the_sum_of_diffs_is_limited(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlgit.review.code.MAX_TOTAL_LINES", 5)
    for n in range(4):
        place.write(f"f{n}", "1\n2\n")
    place.commit()
    changes = diff(place, "HEAD~1", "HEAD").code.files
    assert [bool(c.diff) for c in changes] == [True, False, False, False]
    assert changes[-1].note == "left out: too many changes" and changes[-1].status == "added"
