"""mlgit install's drivers: real Git merges and diffs branches that hold records of runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlgit
from mlgit.entities import Metric, Param
from mlgit.git import Repository
from mlgit.store.gitstore import GitStore
from mlgit.store.record import HISTORY_HEADER, parse_metrics, parse_params
from mlgit.sync.driver import _by_key, merge_file, mixed_folders
from mlgit.worktree import drivers

FOLDER = ".mlgit/experiments/Default"


class Place:
    """A repository whose clone has the drivers, and ways to accept runs into branches."""

    def __init__(self, path: Path, git: Callable[..., str]) -> None:
        self.path = path
        self._git = git
        self.store = GitStore(Repository.open(str(path)))
        self.clock = 1_700_000_000_000

    def git(self, *arguments: str, **options: Any) -> str:
        return self._git(self.path, *arguments, **options)

    def tried(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, text=True)

    def run(
        self, name: str, metrics: dict[str, float], params: dict[str, str], **files: str
    ) -> str:
        self.clock += 1000
        runs = self.store.runs
        run_id = runs.create(
            "0", run_name=name, start_time=self.clock, owner=True, with_code=True
        ).run_id
        points = [Metric(k, v + 1, self.clock, 0) for k, v in metrics.items()]
        points += [Metric(k, v, self.clock, 1) for k, v in metrics.items()]
        runs.log_batch(run_id, metrics=points, params=[Param(k, v) for k, v in params.items()])
        for file, text in files.items():
            self.store.log_bytes(run_id, text.encode(), file)
        runs.finish(run_id, "FINISHED", self.clock + 1)
        return run_id

    def accept(self, run_id: str) -> None:
        found = self.store.runs.find_ref(run_id)
        assert found is not None
        self.git("merge", "-q", "--ff-only", found[1])

    def read(self, name: str) -> bytes:
        return (self.path / FOLDER / name).read_bytes()


@pytest.fixture
def place(repo_dir: Path, git: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("PYTHONPATH", str(Path(mlgit.__file__).parents[1]))
    made = Place(repo_dir, git)
    assert drivers.install(made.store.repo).state == "made"
    yield made
    made.store.close()


def parted(place: Place) -> None:
    """Two branches of one accepted run, with another one each; b's is the newer."""
    place.accept(place.run("base", {"loss": 1.0, "acc": 0.5}, {"lr": "1"}))
    for name, loss in (("a", 0.3), ("b", 0.2)):
        place.git("checkout", "-q", "-b", name, "main")
        place.accept(place.run(name, {"loss": loss, "acc": 0.9, name: 1.0}, {"lr": name}))


@pytest.mark.parametrize(("into", "other"), [("a", "b"), ("b", "a")])
def test_the_newer_run_is_kept_whole_in_both_directions(
    place: Place, into: str, other: str
) -> None:
    parted(place)
    whole = place.git("ls-tree", "b", f"{FOLDER}/run.yaml", f"{FOLDER}/metrics.yaml")
    place.git("checkout", "-q", into)
    done = place.tried("merge", "--no-edit", other)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"<<<<" not in place.read("metrics.yaml")
    assert parse_metrics(place.read("metrics.yaml"), "") == {"loss": 0.2, "acc": 0.9, "b": 1.0}
    assert parse_params(place.read("params.yaml"), "") == {"lr": "b"}
    assert place.git("ls-tree", "HEAD", f"{FOLDER}/run.yaml", f"{FOLDER}/metrics.yaml") == whole
    assert "keeps the record of b (" in done.stderr + done.stdout
    assert place.read("history/loss.csv").decode().splitlines()[-1].endswith(",0.2")


def test_without_drivers_there_are_conflicts(place: Place) -> None:
    drivers.remove(place.store.repo)
    assert place.git("config", "--get-regexp", "mlgit", check=False) == ""
    parted(place)
    place.git("checkout", "-q", "a")
    assert place.tried("merge", "--no-edit", "b").returncode == 1


def test_one_run_that_two_branches_amended(place: Place) -> None:
    place.accept(place.run("base", {"loss": 1.0}, {"lr": "1"}))
    for name, old, new in (
        ("a", "loss: 1.0", "loss: 1.0\nmore: 2.0"),
        ("b", "loss", "acc: 0.5\nloss"),
    ):
        place.git("checkout", "-q", "-b", name, "main")
        path = place.path / FOLDER / "metrics.yaml"
        path.write_text(path.read_text().replace(old, new))
        place.git("commit", "-qam", name)
    place.git("merge", "-q", "--no-edit", "a")
    assert place.read("metrics.yaml") == b"acc: 0.5\nloss: 1.0\nmore: 2.0\n"


def test_a_key_that_both_set_is_a_conflict_that_can_be_read(place: Place) -> None:
    place.accept(place.run("base", {"loss": 1.0}, {"lr": "1"}))
    for name in ("a", "b"):
        place.git("checkout", "-q", "-b", name, "main")
        path = place.path / FOLDER / "params.yaml"
        path.write_text(f'lr: "{name}"\n')
        place.git("commit", "-qam", name)
    done = place.tried("merge", "--no-edit", "a")
    assert done.returncode == 1 and "lr  was set on both sides" in (done.stderr + done.stdout)
    assert place.read("params.yaml") == b'lr: "b"\n'
    assert place.git("diff", "--name-only", "--diff-filter=U") == f"{FOLDER}/params.yaml"


def test_files_of_two_runs_in_one_record_are_told(place: Place) -> None:
    place.accept(place.run("base", {"loss": 1.0}, {"lr": "1"}))
    for name, files in (("a", {"model.txt": "x"}), ("b", {})):
        place.git("checkout", "-q", "-b", name, "main")
        place.accept(place.run(name, {"loss": 0.5}, {"lr": name}, **files))
    place.git("merge", "-q", "--no-edit", "a")
    repo = Repository.open(str(place.path))
    ((folder, commit),) = mixed_folders(repo)
    assert (folder, commit) == (FOLDER, place.git("rev-parse", "HEAD^1"))
    place.git("restore", f"--source={commit}", "--staged", "--worktree", "--", folder)
    place.git("commit", "-q", "--amend", "--no-edit")
    assert mixed_folders(Repository.open(str(place.path))) == []
    assert not (place.path / FOLDER / "artifacts.yaml").exists()


def test_rebases_and_cherry_picks_ask_where_it_is_not_known(place: Place) -> None:
    parted(place)
    place.git("checkout", "-q", "a")
    done = place.tried("cherry-pick", "b")
    assert done.returncode == 1
    assert b"<<<<" not in place.read("metrics.yaml")
    unmerged = place.git("diff", "--name-only", "--diff-filter=U").splitlines()
    assert f"{FOLDER}/metrics.yaml" in unmerged and f"{FOLDER}/run.yaml" not in unmerged


def test_git_diff_says_which_metrics_got_better(place: Place) -> None:
    parted(place)
    text = place.git("diff", "a", "b", "--", f"{FOLDER}/metrics.yaml")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == f"diff --mlgit a/{FOLDER}/metrics.yaml b/{FOLDER}/metrics.yaml"
    assert "loss 0.3 0.2 -0.1 -33.33% ▼ better" in lines and "acc" not in text
    assert "lr a b" in " ".join(place.git("diff", "a", "b", "--", f"{FOLDER}/params.yaml").split())
    assert "@@" in place.git("diff", "a", "b", "--", f"{FOLDER}/run.yaml")
    assert "@@" in place.git("diff", "--no-ext-diff", "a", "b", "--", f"{FOLDER}/metrics.yaml")
    (place.path / FOLDER / "metrics.yaml").write_text("[\n")
    assert "can't be read" in place.git("diff", "--", f"{FOLDER}/metrics.yaml")


def test_installing_keeps_the_persons_own_attributes(place: Place) -> None:
    repo, path = place.store.repo, place.path / ".git/info/attributes"
    assert drivers.install(repo).state == "there"
    ours = path.read_text()
    path.write_text("*.x binary")
    assert drivers.install(repo).state == "made"
    assert path.read_text() == "*.x binary\n" + ours
    path.write_text(path.read_text() + "*.y text\n")
    assert drivers.remove(repo).state == "removed" and drivers.remove(repo).state == "absent"
    assert path.read_text() == "*.x binary\n*.y text\n"
    checked = place.git("check-attr", "merge", f"{FOLDER}/metrics.yaml", "other.yaml")
    assert checked.count("unspecified") == 2


def test_which_files_the_drivers_are_for(place: Place) -> None:
    files = ("metrics.yaml", "run.yaml", "history/a%2Fb.csv", "history/.gitattributes", "x.txt")
    text = place.git("check-attr", "merge", *(f"{FOLDER}/{name}" for name in files), "run.yaml")
    assert [line.rsplit(" ", 1)[1] for line in text.splitlines()] == [
        "mlgit",
        "mlgit",
        "mlgit",
        "unspecified",
        "unspecified",
        "unspecified",
    ]


# -- one file


values = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3).map(float), max_size=4)


@given(values, values, values)
def test_key_by_key(
    base: dict[str, float], ours: dict[str, float], theirs: dict[str, float]
) -> None:
    from mlgit.store import yamlform

    def written(found: dict[str, float]) -> bytes:
        return yamlform.dump(found, sort=True)

    path = f"{FOLDER}/metrics.yaml"
    mine = _by_key(path, written(base), written(ours), written(theirs))
    yours = _by_key(path, written(base), written(theirs), written(ours))
    assert bool(mine.clashes) == bool(yours.clashes)
    if mine.clashes:
        assert mine.data == written(ours)
        return
    assert mine.data == yours.data
    found = parse_metrics(mine.data, "")
    for key in {*base, *ours, *theirs}:
        sides = (ours.get(key), theirs.get(key))
        assert found.get(key) == (sides[1] if sides[0] == base.get(key) else sides[0])


def test_histories_grow_on_both_sides() -> None:
    base = HISTORY_HEADER + b"0,1,0.5\n"
    found = _by_key("history/a.csv", base, base + b"1,2,0.4\n", base + b"1,2,0.4\n2,3,0.3\n")
    assert found.data == base + b"1,2,0.4\n2,3,0.3\n" and not found.clashes
    assert _by_key("history/a.csv", base, b"other", base + b"1,2,0.4\n").clashes
    assert _by_key("x/run.yaml", b"", b"a: [\n", b"b: 1\n").clashes


def test_files_that_are_no_records(place: Place) -> None:
    repo = place.store.repo
    found = merge_file(repo, f"{FOLDER}/run.yaml", b"", b"a: 1\n", b"b: 2\n", ["HEAD", "f" * 40])
    assert found.data == b"a: 1\nb: 2\n" and not found.clashes
    assert merge_file(repo, "x", b"1", b"1", b"2", []).data == b"2"
    assert merge_file(repo, "x", b"1", b"2", b"1", []).data == b"2"
