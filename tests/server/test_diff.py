"""The diff page: any two revisions, and what it says of those that can't be compared."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlgit.entities import Metric
from mlgit.server.options import options_for
from mlgit.store.gitstore import GitStore
from tests.support.hostile import PAYLOADS, check

Make = Callable[..., str]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def text_of(page: str) -> str:
    """The words of a page, with single spaces between."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_two_runs(client: FlaskClient, repo_dir: Path, make_run: Make) -> None:
    one = make_run(
        "one",
        metrics={"loss": 0.5},
        params={"lr": "0.1"},
        artifacts={"a.txt": b"x\n", "b.png": PNG},
    )
    (repo_dir / "train.py").write_text("print('more')\n")
    two = make_run("two", params={"lr": "0.2"}, artifacts={"a.txt": b"y\n", "b.png": PNG + b"2"})
    answer = client.get(f"/diff?a={one}&b={two}")
    assert answer.status_code == 200
    words = text_of(answer.text)
    for part in ("lr 0.1 0.2", "-x +y", "loss 0.5", "train.py", "print('more')"):
        assert part in words, part
    assert f'href="/runs/{one}"' in answer.text and f'href="/runs/{two}"' in answer.text
    assert f"/compare?runs={one},{two}" in answer.text
    # Only what is asked for.
    words = text_of(client.get(f"/diff?a={one}&b={two}&section=params").text)
    assert "lr 0.1 0.2" in words and "print('more')" not in words
    check(answer.text, "diff")


def test_histories_are_drawn(client: FlaskClient, store: GitStore, make_run: Make) -> None:
    ids = [make_run(name, metrics={"loss": 3.0}, status="RUNNING") for name in ("a", "b")]
    for at, run_id in enumerate(ids):
        for n in range(1, 20):
            both = [Metric("loss", 1.0 / n + at, 1000 + n, n), Metric("same", n, 1000 + n, n)]
            store.runs.log_batch(run_id, metrics=both)
        store.runs.finish(run_id, "FINISHED", 5000)
    page = client.get(f"/diff?a={ids[0]}&b={ids[1]}").text
    assert page.count("<svg") == 1 and 'class="old"' in page and 'class="new"' in page


def test_images_are_side_by_side_and_never_pages_of_ours(
    client: FlaskClient, make_run: Make
) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>PWNED()</script></svg>"
    one = make_run("one", artifacts={"i.png": PNG, "x.svg": svg, "t.png": b"<html>PWNED"})
    two = make_run("two", artifacts={"i.png": PNG + b"2", "x.svg": svg + b" "})
    page = client.get(f"/diff?a={one}&b={two}").text
    links = [html.unescape(link) for link in re.findall(r'<img src="([^"]+)"', page)]
    assert len(links) == 4
    kinds = []
    for link in links:
        answer = client.get(link)
        kinds.append(answer.headers.get("Content-Type", ""))
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page_of_theirs = hashlib.sha256(b"<html>PWNED").hexdigest()
    answer = client.get("/diff/image", query_string={"sha256": page_of_theirs})
    assert answer.status_code == 404 and "PWNED" not in answer.text
    assert kinds.count("image/png") == 2 and kinds.count("image/svg+xml") == 2
    for digest in ("", "x", "../../config", "0" * 64, "A" * 64, "0" * 63 + "/"):
        assert client.get("/diff/image", query_string={"sha256": digest}).status_code == 404


@pytest.fixture
def branches(store: GitStore, repo_dir: Path, make_run: Make, git: Callable[..., str]) -> str:
    """A branch with a commit and a better run, beside main; the branch is checked out."""
    make_run("old", metrics={"acc": 0.5})
    git(repo_dir, "checkout", "-q", "-b", "topic/one")
    (repo_dir / "train.py").write_text("print('better')\n")
    git(repo_dir, "commit", "-qam", "better")
    make_run("new", metrics={"acc": 0.9})
    git(repo_dir, "checkout", "-q", "main")
    (repo_dir / "other.py").write_text("x = 1\n")
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "main goes on")
    return "topic/one"


def test_ranges_as_git_has_them(client: FlaskClient, branches: str) -> None:
    two = text_of(client.get("/diff?a=main..topic/one").text)
    assert "other.py" in two and "train.py" in two
    three = text_of(client.get("/diff?a=main...topic/one").text)
    assert "other.py" not in three and "train.py" in three
    assert text_of(client.get("/diff?a=main&b=topic/one").text).count("train.py") >= 1
    assert "train.py" in text_of(client.get("/diff?a=HEAD~1&b=topic/one").text)


def test_as_a_pull_request(client: FlaskClient, branches: str) -> None:
    page = client.get("/diff?base=main&head=topic/one").text
    words = text_of(page)
    assert "Better; metrics: 1 better" in words and "as a pull request" in words
    assert "acc 0.5 0.9 +0.4 +80.00% ▲ better" in words
    assert "other.py" not in words
    assert 'name="base" list="revisions" value="main"' in page


def test_as_a_file(client: FlaskClient, make_run: Make) -> None:
    one, two = make_run("one", artifacts={"i.png": PNG}), make_run("two", params={"a": "b"})
    answer = client.get(f"/diff.html?a={one}&b={two}")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="diff.html"'
    assert "<!DOCTYPE html>" in answer.text and "data:image/png;base64" in answer.text
    assert client.get("/diff.html").status_code == 400


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("a=nothing&b=main", "'nothing' is no run, branch, tag or commit"),
        ("a=main&b=main~99", "no parent"),
        ("a=main..nothing", "'nothing' is no run"),
        ("a=~~&b=main", "isn't a revision"),
        ("a=%40%7B99999999999999999999%7D&b=main", "not that many runs"),
        ("a=%00&b=main", "'\\x00'"),
        ("base=nothing", "'nothing' is no run"),
        ("a=models:/nothing/1&b=main", "nothing"),
        ("a=main:train.py&b=main", "main:train.py"),
    ],
)
def test_what_is_not_there_says_what_to_do(
    client: FlaskClient, make_run: Make, query: str, said: str
) -> None:
    make_run()
    answer = client.get(f"/diff?{query}")
    assert answer.status_code in (400, 404)
    assert said in html.unescape(answer.text) and 'role="alert"' in answer.text
    assert "What to do" in answer.text


def test_nothing_to_compare_yet(client: FlaskClient) -> None:
    answer = client.get("/diff")
    assert answer.status_code == 200 and "What to compare" in answer.text


def test_deleted_runs_and_runs_without_metrics_are_compared(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    gone, odd = make_run("gone"), make_run("odd", metrics={"loss": float("nan")})
    store.runs.update(gone, lifecycle_stage="deleted")
    words = text_of(client.get(f"/diff?a={gone}&b={odd}").text)
    assert "loss" in words and "nan" in words


def test_the_worktree_is_for_who_sits_here(
    open_app: Callable[..., FlaskClient], repo_dir: Path
) -> None:
    (repo_dir / "train.py").write_text("print('not committed')\n")
    assert "not committed" in text_of(open_app().get("/diff?a=HEAD&b=worktree").text)
    options = options_for("0.0.0.0", 5000, no_auth=True)
    open_to_all = open_app(hosts=options.hosts, any_address=True)
    for query in ("a=HEAD&b=worktree", "a=HEAD..worktree", "a=HEAD...worktree", "a=worktree"):
        for page in ("/diff", "/diff.html"):
            answer = open_to_all.get(f"{page}?{query}")
            assert answer.status_code == 400, query
            assert "not committed" not in text_of(answer.text)
    named = open_app(hosts=options_for("10.0.0.1", 5000, no_auth=True).hosts)
    assert named.get("/diff?a=HEAD&b=worktree").status_code == 400


def test_markup_is_text(client: FlaskClient, repo_dir: Path, make_run: Make) -> None:
    ids = []
    for n, payload in enumerate(PAYLOADS):
        (repo_dir / "code.py").write_text(payload + "\n")
        name = payload.replace("/", "_")[:80]
        ids.append(
            make_run(
                payload,
                params={f"p{n}": payload, "same": payload},
                tags={"t": payload},
                artifacts={f"{name}.txt": payload.encode(), f"{name}.png": PNG + b"%d" % n},
            )
        )
    for first, second in pairwise(ids):
        check(client.get(f"/diff?a={first}&b={second}&all=1").text, second)
    for payload in PAYLOADS:
        for name in ("a", "b", "base", "head", "section", "all"):
            query = {"a": ids[0], "b": ids[1], name: payload}
            check(client.get("/diff", query_string=query).text, f"{name}={payload}")
