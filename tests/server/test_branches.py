"""The branches page: every branch's newest run against the default branch's."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlgit.review.board import branches, standings
from mlgit.store.gitstore import GitStore
from tests.server.test_diff import text_of
from tests.support.hostile import PAYLOADS, check

Make = Callable[..., str]
Git = Callable[..., str]


@pytest.fixture
def branch(repo_dir: Path, git: Git, make_run: Make) -> Callable[..., str | None]:
    """Makes a branch of main with a commit, and a run of it where metrics are given."""

    def make(name: str, **metrics: float) -> str | None:
        git(repo_dir, "checkout", "-q", "-B", name, "main")
        (repo_dir / "train.py").write_text(f"print({name!r})\n")
        git(repo_dir, "commit", "-qam", f"try {name}")
        run = make_run(f"run of {name}", metrics=metrics) if metrics else None
        git(repo_dir, "checkout", "-q", "main")
        return run

    return make


def rows(page: str) -> dict[str, str]:
    """The words of each row, by the branch."""
    found = {}
    for row in re.findall(r'<tr>\s*(<th scope="row">.*?)</tr>', page, re.DOTALL):
        name, _, rest = text_of(row).partition(" ")
        found[name] = rest
    return found


def test_each_branch_against_main(
    client: FlaskClient, make_run: Make, branch: Callable[..., str | None]
) -> None:
    make_run("baseline", metrics={"acc": 0.5, "loss": 1.0, "n": 1.0})
    better = branch("topic/better", acc=0.75, loss=1.0, n=2.0)
    branch("worse", acc=0.25)
    branch("wip")
    page = client.get("/branches").text
    found = rows(page)
    assert "▲ better +50.00%" in found["topic/better"] and "the same" in found["topic/better"]
    assert "try topic/better" in found["topic/better"] and "Ada" in found["topic/better"]
    assert "▼ worse -50.00%" in found["worse"]
    assert "no run was made of this branch" in found["wip"]
    assert "main" not in found
    assert f'href="/runs/{better}"' in page
    assert 'href="/diff?base=main&amp;head=topic/better"' in page
    assert client.get("/diff?base=main&head=topic/better").status_code == 200
    # Those of which it is known what is better come first; others can be chosen.
    assert re.findall(r'<th scope="col" class="right">(\w+)', page) == ["acc", "loss", "n"]
    page = client.get("/branches?metric=n&q=BETTER").text
    assert re.findall(r'<th scope="col" class="right">(\w+)', page) == ["n"]
    assert list(rows(page)) == ["topic/better"]


def test_merged_branches_and_those_of_remotes(
    client: FlaskClient,
    store: GitStore,
    repo_dir: Path,
    git: Git,
    branch: Callable[..., str | None],
) -> None:
    branch("done", acc=0.5)
    branch("mine", acc=0.5)
    git(repo_dir, "merge", "-q", "--ff-only", "done")
    sha = git(repo_dir, "rev-parse", "mine")
    git(repo_dir, "update-ref", "refs/remotes/origin/mine", sha)
    git(repo_dir, "update-ref", "refs/remotes/origin/theirs", sha)
    git(repo_dir, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/theirs")
    assert {one.name for one in branches(store)} == {"main", "done", "mine", "origin/theirs"}
    found = rows(client.get("/branches?base=main").text)
    assert found["done"].startswith("merged") and "run of" not in found["done"]
    assert "run of mine" in found["origin/theirs"]


def test_runs_of_a_name_that_a_branch_has_too(
    client: FlaskClient, make_run: Make, branch: Callable[..., str | None], git: Git, repo_dir: Path
) -> None:
    branch("twice", acc=0.5)
    make_run("twice", metrics={"acc": 9.0})
    git(repo_dir, "tag", "twice", "main")
    assert "run of twice" in rows(client.get("/branches").text)["twice"]


def test_branches_stand_by_the_newest_commit_and_continue_on_pages(
    client: FlaskClient, repo_dir: Path, git: Git
) -> None:
    tree = git(repo_dir, "rev-parse", "main^{tree}")
    for n in range(35):
        date = f"{1_700_000_000 + n} +0000"
        raw = f"tree {tree}\nauthor A <a@x> {date}\ncommitter A <a@x> {date}\n\nc{n}\n"
        sha = git(repo_dir, "hash-object", "-t", "commit", "-w", "--stdin", data=raw.encode())
        git(repo_dir, "update-ref", f"refs/heads/b{n:02}", sha)
    first = client.get("/branches").text
    assert list(rows(first)) == [f"b{n:02}" for n in range(34, 4, -1)]
    # They have nothing in common with main: said in the row, and no error of the page.
    assert "have no commit in common" in rows(first)["b34"]
    assert 'rel="next" href="/branches?page=2"' in first
    assert list(rows(client.get("/branches?page=2").text)) == ["b04", "b03", "b02", "b01", "b00"]
    for page in ("0", "-1", "x", "9" * 30, "²"):
        assert client.get("/branches", query_string={"page": page}).status_code == 200


def test_a_branch_that_cannot_be_read_does_not_hide_the_others(
    client: FlaskClient, repo_dir: Path, branch: Callable[..., str | None]
) -> None:
    branch("fine", acc=0.5)
    (repo_dir / ".git/refs/heads/broken").write_text("1" * 40 + "\n")
    found = rows(client.get("/branches").text)
    assert "run of fine" in found["fine"]
    assert "11111111" in found["broken"]


def test_without_branches_or_a_base(client: FlaskClient, repo_dir: Path, git: Git) -> None:
    assert "No other branches" in client.get("/branches").text
    assert "No branch matches" in client.get("/branches?q=nothing").text
    answer = client.get("/branches?base=nothing")
    assert answer.status_code == 404 and "What to do" in answer.text
    git(repo_dir, "branch", "-m", "main", "trunk")
    answer = client.get("/branches")
    assert answer.status_code == 400 and "Against" in answer.text
    git(repo_dir, "update-ref", "-d", "refs/heads/trunk")
    assert "No other branches" in client.get("/branches").text


def test_odd_metrics_and_deleted_runs(
    client: FlaskClient, store: GitStore, make_run: Make, branch: Callable[..., str | None]
) -> None:
    make_run("baseline", metrics={"loss": 1.0})
    branch("nan", loss=float("nan"))
    branch("inf", loss=float("-inf"))
    gone = branch("gone", loss=0.5)
    assert gone
    store.runs.update(gone, lifecycle_stage="deleted")
    found = rows(client.get("/branches").text)
    assert "nan worse" in found["nan"] and "-inf ▼ better" in found["inf"]
    assert "no run was made" in found["gone"]


def test_what_a_branch_costs_does_not_grow_with_the_runs(
    store: GitStore, repo_dir: Path, git: Git, make_run: Make, branch: Callable[..., str | None]
) -> None:
    """Queries are answered by indexes of tags, and read no rows of other runs."""
    branch("topic", loss=0.5)

    def work() -> int:
        """SQLite's steps of all queries but those that bring the index up to date."""
        counted: list[tuple[str, list[int]]] = []
        connection = store.index.connection()
        connection.set_trace_callback(lambda sql: counted.append((sql, [])))
        connection.set_progress_handler(lambda: counted[-1][1].append(1) if counted else None, 5)
        chosen = [one for one in branches(store) if one.name == "topic"]
        found = list(standings(store, "main", chosen))
        connection.set_trace_callback(None)
        connection.set_progress_handler(None, 0)
        assert found[0].run is not None and found[0].base_run is not None
        asked = [ticks for sql, ticks in counted if sql.startswith(("WITH", "SELECT * FROM"))]
        assert asked
        return sum(map(len, asked))

    make_run("baseline", metrics={"loss": 1.0})
    before = work()
    other = store.experiments.create("another")
    git(repo_dir, "checkout", "-q", "-b", "busy")
    git(repo_dir, "commit", "-q", "--allow-empty", "-m", "busy")
    for n in range(100):
        make_run(f"other {n}", metrics={"loss": float(n)}, experiment=other)
    assert work() < before + 30


def test_markup_is_text(client: FlaskClient, repo_dir: Path, git: Git, make_run: Make) -> None:
    tree, main = git(repo_dir, "rev-parse", "main^{tree}"), git(repo_dir, "rev-parse", "main")
    for n, payload in enumerate(PAYLOADS):
        # As another program may write it: git itself takes "<" out of names.
        raw = f"tree {tree}\nparent {main}\n" + "".join(
            f"{role} {payload} <a@x> 1700000000 +0000\n" for role in ("author", "committer")
        )
        data = f"{raw}\n{payload}\n".encode()
        sha = git(
            repo_dir, "hash-object", "--literally", "-t", "commit", "-w", "--stdin", data=data
        )
        git(repo_dir, "checkout", "-q", "-B", f"b{n}<img>'\"", sha)
        make_run(payload, metrics={"loss": 1.0})
    git(repo_dir, "checkout", "-q", "main")
    check(client.get("/branches").text, "branches")
    for payload in PAYLOADS:
        for name in ("q", "base", "metric", "page"):
            check(client.get("/branches", query_string={name: payload}).text, payload)
