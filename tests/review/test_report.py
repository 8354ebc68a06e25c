"""Reports on pull requests, from real branches."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlgit.cli.main import cli
from mlgit.entities import Metric
from mlgit.exceptions import FilterError, InvalidParameterValue, ResourceDoesNotExist
from mlgit.git import Repository
from mlgit.review.branches import default_base, sides_of
from mlgit.review.comment import LIMITS, marker, to_comment
from mlgit.review.curves import Curve
from mlgit.review.links import changed_lines, parse
from mlgit.review.mermaid import chart
from mlgit.review.report import report
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Point

EVIL = [
    "a|b",
    "`x` ``",
    "<script>alert(1)</script>",
    "--> <b>",
    "</details></code>",
    "@team/all",
    "[x](javascript:alert(1))",
    "![x](http://x/y.png)",
    "line\nline",
    "```\n# head",
    "\u202eevil\u2066",
    "&lt;i&gt; #1 **b** ~~s~~ $x$ \\",
    '"]\n line [9]',
    "%%{init: {}}%%",
    "http://evil.example",
]


def points(key: str, values: list[float]) -> list[Metric]:
    return [Metric(key, value, 1000 + step, step) for step, value in enumerate(values)]


def curve(place: Any, key: str, values: list[float]) -> Any:
    return lambda run_id: place.store.runs.log_batch(run_id, metrics=points(key, values))


@pytest.fixture
def branch(place: Any) -> Any:
    """A base with a run, and a branch with a commit and a run of it."""
    place.git("remote", "add", "origin", "git@github.com:team/proj.git")
    place.run(
        "old", metrics={"acc": 0.90}, params={"lr": "0.1"}, before_end=curve(place, "loss", [3, 2])
    )
    place.git("update-ref", "refs/remotes/origin/main", "HEAD")
    place.git("checkout", "-q", "-b", "topic")
    place.write("train.py", "import x\nlr = 0.2\nprint(lr)\n")
    place.commit("two")
    place.run(
        "new", metrics={"acc": 0.95}, params={"lr": "0.2"}, before_end=curve(place, "loss", [3, 1])
    )
    return place


# -- which runs a branch stands for


def names(place: Any, base: str = "main", head: str = "HEAD") -> tuple[list[str], list[str]]:
    sides = sides_of(place.store, base, head)
    return tuple([r.load()[0].run_name for r in s.records] for s in (sides.base, sides.head))  # type: ignore[return-value]


def test_the_newest_finished_run_of_each_sides_commits(branch: Any) -> None:
    assert names(branch) == (["old"], ["new"])
    branch.run("again", metrics={"acc": 0.96})
    branch.run("broken", status="FAILED")
    assert names(branch) == (["old"], ["again"])
    branch.git("checkout", "-q", "main")
    branch.run("newer on main")
    assert names(branch, head="topic") == (["newer on main"], ["again"])


def test_accepted_runs_come_first(branch: Any) -> None:
    run_id = branch.run("accepted", metrics={"acc": 0.99})
    branch.git("merge", "-q", "--ff-only", branch.commit_of(run_id))
    branch.run("later")
    assert names(branch)[1] == ["accepted"], "the head is the run's own commit"
    branch.write("README", "x")
    branch.commit("docs")
    branch.run("latest")
    assert names(branch)[1] == ["accepted"], "the record is one that the base hasn't"
    assert [f.path for f in report(branch.store, "main").comparison.code.files] == [
        "README",
        "train.py",
    ]
    branch.git("checkout", "-q", "-b", "next")
    assert names(branch, "topic") == (["accepted"], ["latest"]), "the base has it, too"


def test_a_run_of_the_bases_experiment_is_preferred(branch: Any) -> None:
    other = branch.store.experiments.create("other")
    branch.run("of the other", experiment=other)
    branch.git("checkout", "-q", "main")
    branch.run("also other", experiment=other)
    branch.run("not other")
    assert names(branch, head="topic") == (["also other"], ["of the other"])


def test_a_branch_without_runs(place: Any) -> None:
    place.run("old", metrics={"acc": 0.9})
    place.git("checkout", "-q", "-b", "topic")
    place.write("train.py", "x\n")
    place.commit()
    found = report(place.store, "main", conditions=["metrics.acc < 0.5"])
    (remark,) = found.sides.remarks
    assert remark.startswith("no run was made of this branch's commits")
    (check,) = found.checks
    assert check.failed and check.problem == "there is no metrics.acc: no run stands for HEAD"
    assert report(place.store, "main").verdict == "no run"


def test_a_run_of_the_branchs_code_before_its_first_commit(place: Any) -> None:
    place.run("old", metrics={"acc": 0.9})
    place.git("checkout", "-q", "-b", "topic")
    place.write("train.py", "other\n")
    place.run("tried first", metrics={"acc": 0.8})
    place.write("train.py", "x\n")
    place.run("kept", metrics={"acc": 0.95})
    place.run("failed", status="FAILED")
    place.commit()
    assert names(place) == (["old"], ["kept"])
    assert sides_of(place.store, "main").remarks == ()
    place.git("checkout", "-q", "-b", "docs", "main")
    place.commit("nothing but a message")
    assert names(place)[1] == [], "a run of the base's code is the base's"


def test_code_that_is_not_the_branchs_is_said(branch: Any) -> None:
    branch.write("more.py", "x\n")
    branch.commit("three")
    (remark,) = sides_of(branch.store, "main").remarks
    assert "code" in remark and "isn't that of HEAD" in remark


def test_the_code_is_compared_with_where_they_parted(branch: Any) -> None:
    branch.git("checkout", "-q", "main")
    branch.write("of_main.py", "x\n")
    branch.commit("on main")
    found = report(branch.store, "main", "topic")
    assert [f.path for f in found.comparison.code.files] == ["train.py"]


def test_runs_are_found_past_a_hundred_commits(place: Any) -> None:
    place.run("old", metrics={"acc": 1.0})
    stream = "".join(
        f"commit refs/heads/long\ncommitter A <a@b> {1_700_000_000 + n} +0000\ndata 1\nx\n"
        + ("from refs/heads/main\n" if n == 0 else "")
        for n in range(130)
    )
    (place.path / "stream").write_text(stream)
    with open(place.path / "stream") as given:
        import subprocess

        subprocess.run(["git", "fast-import", "--quiet"], cwd=place.path, stdin=given, check=True)
    os.unlink(place.path / "stream")
    assert names(place, "long", "long")[0] == ["old"]


def test_what_can_not_be_compared(branch: Any) -> None:
    with pytest.raises(ResourceDoesNotExist):
        report(branch.store, "nothing")
    with pytest.raises(FilterError):
        report(branch.store, "main", conditions=["metrics."])
    branch.git("checkout", "-q", "--orphan", "alone")
    branch.commit("alone")
    with pytest.raises(InvalidParameterValue, match="no commit in common"):
        report(branch.store, "main")


def test_the_default_base(branch: Any) -> None:
    assert default_base(branch.store) == "origin/main"
    branch.git("update-ref", "-d", "refs/remotes/origin/main")
    assert default_base(branch.store) == "main"
    branch.git("branch", "-m", "main", "trunk")
    with pytest.raises(InvalidParameterValue):
        default_base(branch.store)


# -- verdicts and checks


def test_a_verdict(branch: Any) -> None:
    found = report(branch.store, "main", conditions=["metrics.acc < base.metrics.acc - 0.005"])
    assert (found.verdict, found.failed) == ("better", False)
    assert found.headline == "Better; metrics: 2 better"
    found = report(branch.store, "main", conditions=["metrics.acc > 0.9", "1 > 2"])
    assert found.verdict == "failed" and found.headline.startswith("1 of 2 checks failed; ")
    assert report(branch.store, "topic", "main").verdict == "worse"
    branch.run("mixed", metrics={"acc": 0.99, "loss": 9.0})
    assert report(branch.store, "main").verdict == "mixed"


def test_a_nan_fails_a_check(branch: Any) -> None:
    branch.run("diverged", metrics={"acc": math.nan, "loss": math.nan})
    found = report(branch.store, "main", conditions=["metrics.loss > base.metrics.loss"])
    assert found.failed and "NaN" in found.checks[0].problem


# -- the comment


def test_a_comment(branch: Any) -> None:
    text = to_comment(report(branch.store, "main", conditions=["metrics.acc < 0.99"]))
    head = branch.git("rev-parse", "HEAD")
    assert text.startswith("<!-- mlgit: report -->\n### ❌ 1 of 1 check failed")
    assert "| ❌ | `metrics.acc < 0.99` | `metrics.acc = 0.95` |" in text
    assert "| `acc` | 0.9 | 0.95 | +0.05 | +5.56% | ▲ better |" in text
    assert f"[L2](https://github.com/team/proj/blob/{head}/train.py#L2)" in text
    assert "```mermaid\n" in text and 'title "loss"' in text
    assert "| `lr` | `0.1` | `0.2` |" in text
    assert text == to_comment(report(branch.store, "main", conditions=["metrics.acc < 0.99"]))


def test_another_remote_has_no_links(branch: Any) -> None:
    branch.git("remote", "set-url", "origin", "https://git.example.org/team/proj.git")
    store = GitStore(Repository.open(str(branch.path)))
    text = to_comment(report(store, "main"))
    store.close()
    assert "](http" not in text and "`train.py`" in text


def evil(place: Any) -> Any:
    place.git("remote", "add", "origin", "https://user:secret@gitlab.com/team/proj.git")
    params = {f"p{n}": text for n, text in enumerate(EVIL)}
    place.run("old", params=dict.fromkeys(params, "plain"))
    place.git("checkout", "-q", "-b", "topic")
    for n, text in enumerate(EVIL):
        place.write(f"f{n} {text.replace('/', '_')}.py", f"{text}\n")
    place.commit("evil")
    place.run(
        "\x1b]0;t\x07<img src=x>|`@x",
        params=params,
        tags={f"t{n}": text for n, text in enumerate(EVIL)},
        before_end=curve(place, "a loss", [2, 1]),
    )
    return report(place.store, "main", conditions=["params.p2 = '<script>|`@x'"])


def test_nothing_breaks_out_of_a_comment(place: Any) -> None:
    text = to_comment(evil(place), max_length=LIMITS["gitlab"])
    assert "secret" not in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    # Blocks of code end where they should: what is left has no markup but ours.
    outside = re.sub(r"^(`{3,})\w+\n.*?\n\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"`[^`\n]+`", "", outside)
    tags = set(re.findall(r"<[^>]*>?", outside)) - {"<!-- mlgit: report -->"}
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"}
    assert outside.count("<details>") == outside.count("</details>")
    shown = re.sub(r"<code>.*?</code>", "", outside)
    for sign in ("@", "javascript", "evil.example", "**b**"):
        assert sign not in re.sub(r"\]\(https://gitlab\.com/[^)\s]*\)", "", shown), sign
    for table in re.findall(r"(?:^\|.*\n)+", outside, re.MULTILINE):
        rows = table.splitlines()
        assert len({row.count("|") for row in rows}) == 1, table


def test_a_metrics_name_can_not_leave_its_chart() -> None:
    for name in EVIL:
        text = chart(Curve(name, (), (Point(0, 0, 1.0), Point(5, 5, 2.0))))
        assert text is not None
        lines = text.splitlines()
        assert len(lines) == 6 and re.match(r'    title "[^"%`{}\[\]]+"$', lines[2]), lines
        assert all(line.lstrip().startswith(("x-axis", "y-axis", "line")) for line in lines[3:])


@pytest.mark.parametrize("limit", [2000, 5000, 20_000, LIMITS["bitbucket"], LIMITS["github"]])
def test_a_comment_fits(place: Any, limit: int) -> None:
    place.run("old", params={f"p{n}": "x" * 90 for n in range(150)}, metrics={"acc": 0.5})
    place.git("checkout", "-q", "-b", "topic")
    for n in range(40):
        place.write(f"big{n}.py", "".join(f"line {i} {'y' * 40}\n" for i in range(100)))
    place.commit()
    place.run("new", params={f"p{n}": "y" * 90 for n in range(150)}, metrics={"acc": 0.25})
    text = to_comment(report(place.store, "main", conditions=["metrics.acc < 1"]), max_length=limit)
    assert len(text) <= limit
    assert "❌" in text and "metrics.acc = 0.25" in text, "the verdict stays"
    assert re.search(r"Left out, as a comment can't be longer: .*diffs of code \(\d+\)", text)
    assert text.count("<details>") == text.count("</details>")
    if limit >= 5000:
        assert "**Metrics**" in text


def test_the_name_of_a_comment() -> None:
    assert marker("a.b-1") == "<!-- mlgit: a.b-1 -->"
    for bad in ("", "-x", "a --> b", "a--b", "x" * 65, "a\nb"):
        with pytest.raises(InvalidParameterValue):
            marker(bad)


# -- links


@pytest.mark.parametrize(
    ("url", "kind", "page"),
    [
        ("git@github.com:o/r.git", "github", "https://github.com/o/r"),
        ("https://tok:x@github.com/o/r", "github", "https://github.com/o/r"),
        ("ssh://git@github.example.org:2222/o/r.git", "github", "https://github.example.org/o/r"),
        ("https://gitlab.com/g/sub/r.git", "gitlab", "https://gitlab.com/g/sub/r"),
        ("https://gitlab.corp:8443/g/r.git", "gitlab", "https://gitlab.corp:8443/g/r"),
        ("git@bitbucket.org:o/r.git", "bitbucket", "https://bitbucket.org/o/r"),
    ],
)
def test_hosts(url: str, kind: str, page: str) -> None:
    found = parse(url)
    assert found is not None and (found.kind, found.url) == (kind, page)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/github/o/r.git",
        "../r",
        "https://git.example.org/o/r",
        "https://github.com",
        "file:///github.com/o/r",
        "https://notgithub.com/o/r",
        "javascript://github.com/o/r",
        "https://[github.com/o/r",
        "C:/github/o",
    ],
)
def test_no_known_host(url: str) -> None:
    assert parse(url) is None


def test_lines_of_each_host() -> None:
    expected = {
        "git@github.com:o/r": "/blob/abc/a%20%28b%29.py#L1-L2",
        "git@gitlab.com:o/r": "/-/blob/abc/a%20%28b%29.py#L1-2",
        "git@bitbucket.org:o/r": "/src/abc/a%20%28b%29.py#lines-1:2",
    }
    for url, end in expected.items():
        found = parse(url)
        assert found is not None and found.lines("abc", "a (b).py", 1, 2) == found.url + end
        assert "-" not in found.lines("abc", "x", 3, 3).rpartition("#")[2].replace("lines-", "")


def test_changed_lines_are_gits(tmp_path: Path, git: Any) -> None:
    old = [f"line {n}" for n in range(40)]
    new = old[:2] + ["a", "b"] + old[3:20] + old[22:30] + ["c"] + old[30:]
    git(tmp_path, "init", "-q", ".")
    (tmp_path / "f").write_text("\n".join(old) + "\n")
    git(tmp_path, "add", "f")
    (tmp_path / "f").write_text("\n".join(new) + "\n")
    diff = git(tmp_path, "diff", "f")
    spans = list(changed_lines(diff))
    assert spans[0] == (3, 4) and spans[2] == (30, 30)
    assert new[spans[1][0] - 1] == "line 22", "what follows the removed lines"
    assert list(changed_lines("--- a\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-x\n-y\n")) == []
    assert list(changed_lines("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n")) == [(1, 1)]


# -- charts


def test_colours_say_which_side_is_drawn() -> None:
    side = (Point(0, 0, 1.0), Point(1, 1, 2.0))
    both, new = chart(Curve("x", side, side)), chart(Curve("x", (), side))
    old = chart(Curve("x", side, (Point(0, 0, math.nan),)))
    assert both and new and old
    palettes = [re.findall("#[0-9a-f]{6}", text) for text in (both, old, new)]
    assert palettes[0] == palettes[1] + palettes[2]
    assert [text.count("    line ") for text in (both, old, new)] == [2, 1, 1]


def test_charts_keep_extremes_and_gaps_close() -> None:
    spiky = [Point(n, n, 0.1) for n in range(10_000)]
    spiky[5003] = Point(5003, 0, 7.5)
    short = [Point(0, 0, 1.0), Point(10, 0, 0.5)]
    text = chart(Curve("loss", tuple(spiky), tuple(short)))
    assert text is not None
    lines = [ln for ln in text.splitlines() if ln.strip().startswith("line")]
    values = [[float(v) for v in re.findall(r"[-\d.]+", line)] for line in lines]
    assert len(values[0]) == len(values[1]) == 40 and 7.5 in values[0]
    assert values[1][-1] == 0.5, "a side that ends earlier goes on as it was"
    assert "e" not in "".join(lines).replace("line", "")


@pytest.mark.parametrize(
    "side",
    [
        [],
        [Point(0, 0, 1.0)],
        [Point(0, 0, math.nan), Point(1, 1, math.inf)],
        [Point(0, 0, 1.0), Point(0, 1, 2.0)],
        [Point(0, 0, 1e300), Point(1, 1, 2.0)],
        [Point(0, 0, 1e-12), Point(1, 1, 2e-12)],
        [Point(-(2**62), 0, 1.0), Point(2**62, 1, 2.0)],
    ],
)
def test_what_can_not_be_drawn(side: list[Point]) -> None:
    assert chart(Curve("x", tuple(side), ())) is None


# -- the command


def call(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["--no-pager", *arguments])


def test_the_command(branch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(branch.path)
    assert call("report").stdout.startswith("Better; metrics: 2 better\n")
    done = call("report", "--json", "--base", "main")
    data = json.loads(done.stdout)
    assert (done.exit_code, data["verdict"], data["checks"]) == (0, "better", [])
    assert data["comparison"]["runs"][0]["metrics"]["acc"]["verdict"] == "better"
    done = call("report", "--md", "--fail-if", "metrics.acc < 1", "--fail-if", "metrics.no = 1")
    assert done.exit_code == 1 and "| ❌ | `metrics.acc < 1` |" in done.stdout
    assert "failed: metrics.acc < 1\n  metrics.acc = 0.95\n" in done.stderr
    assert "there is no metrics.no: it wasn't logged" in done.stderr
    assert call("report", "--fail-if", "metrics.acc <").exit_code == 2
    assert call("report", "--json", "--md").exit_code == 2
    assert call("report", "--base", "nothing").exit_code == 3
    assert call("report", "topic", "--md", "--id", "other", "-o", "c.md").exit_code == 0
    assert Path("c.md").read_text().startswith("<!-- mlgit: other -->\n")
