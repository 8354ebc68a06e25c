"""A comparison as text, JSON and Markdown; and the command that prints it."""

from __future__ import annotations

import html
import json
import math
import os
import re
from typing import Any

import pytest
from click.testing import CliRunner

from mlgit.cli.main import cli
from mlgit.review.compare import compare
from mlgit.review.markdown import literal, to_markdown
from mlgit.review.render import to_dict, to_text
from mlgit.review.revisions import resolve_pair
from mlgit.review.show import number, numbers, visible
from mlgit.tracking import uri

EVIL = [
    "a|b",
    "`code`",
    "``",
    "<script>alert(1)</script>",
    "<!-- -->",
    "</code></details>",
    "\\|",
    "a\\",
    "line\nline",
    "| x |\n| --- |",
    "@everyone",
    "![x](http://x/y.png)",
    "[x](javascript:1)",
    "**bold** _it_ ~~no~~ #1",
    "&lt;b&gt;",
    "\x1b[31mred\x1b[0m",
    "\u202eevil",
    "",
    " ",
    " x ",
    "—",
    "$x$",
    "\r",
    "\u2028",
]


def made(place: Any, *arguments: str) -> Any:
    return compare(place.store, *resolve_pair(place.store, arguments))


@pytest.fixture
def runs(place: Any) -> Any:
    """Two runs that differ in everything."""
    place.run(
        "first",
        params={"lr": "0.1", "same": "1"},
        metrics={"acc": 0.5, "val_loss": 1.0, "nan": math.nan, "inf": 1.0, "n": 3.0},
        environment={"python": "3.11", "packages": {"numpy": "1"}},
        before_end=lambda r: place.store.log_bytes(r, b"1", "m/w"),
    )
    place.write("train.py", "import x\nlr = 0.2\nprint(lr)\n")
    place.run(
        "second",
        params={"lr": "0.2", "same": "1"},
        metrics={"acc": 0.25, "val_loss": 0.5, "nan": 1.0, "inf": math.inf, "n": 3.0},
        tags={"team": "x"},
        environment={"python": "3.11", "packages": {"numpy": "2"}},
        before_end=lambda r: place.store.log_bytes(r, b"22", "m/w"),
    )
    return place


def test_text(runs: Any) -> None:
    text = to_text(made(runs))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert re.match(r"old first \(\w{8}\), FINISHED in 0.5s, code \w{10}$", lines[0])
    assert lines[1].endswith("with uncommitted changes")
    assert "acc 0.5 0.25 -0.25 -50.00% ▼ worse" in lines
    assert "val_loss 1 0.5 -0.5 -50.00% ▼ better" in lines
    assert "inf 1 inf +inf ▲" in lines
    assert "nan nan 1" in lines
    assert "team — x" in lines and "lr 0.1 0.2" in lines and "numpy 1 2" in lines
    assert any(line.startswith("m/w 1 B,") for line in lines)
    assert "train.py (modified, +1 -1)" in lines and "-lr = 0.1" in lines
    assert "3 equal values not shown (--all)" in lines
    assert not any(line.startswith("same") for line in lines)
    whole = to_text(made(runs), everything=True)
    assert "same" in whole and "not shown" not in whole
    assert "@@" not in to_text(made(runs), stat=True)


def test_metrics_are_aligned(runs: Any) -> None:
    text = to_text(made(runs), ["metrics"])
    table = text.split("Metrics\n")[1].splitlines()
    old = table[0].index("old") + 3
    assert table[1][:old].endswith(" 0.5") and table[1][old] == " "
    assert "Params" not in text and "Code" not in text


def test_nothing_differs(runs: Any) -> None:
    assert "Nothing differs." in to_text(made(runs, "first", "first"))
    assert "Nothing differs." in to_markdown(made(runs, "first", "first"))
    assert not to_dict(made(runs, "first", "first"))["differs"]


def test_numbers() -> None:
    assert [number(v) for v in (3.0, 0.1 + 0.2, 1e20, -0.0, math.nan, None)] == [
        "3",
        "0.3",
        "1e+20",
        "0",
        "nan",
        "—",
    ]
    assert numbers(0.12345678, 0.12345679) == ("0.12345678", "0.12345679")


def test_long_values_are_told_apart(place: Any) -> None:
    place.run("a", params={"p": "x" * 500 + "1"})
    place.run("b", params={"p": "x" * 500 + "2"})
    text = to_text(made(place, "a", "b"), ["params"])
    assert "xx1" in text and "xx2" in text and max(map(len, text.splitlines())) < 200


def evil(place: Any) -> Any:
    params = {f"p{i}": text for i, text in enumerate(EVIL)}
    place.run("plain", params=dict.fromkeys(params, "plain"))
    place.write("evil.md", "".join(f"{text}\n" for text in EVIL) + "````\n</details>\n<script>")
    place.write("a`|<b>\n.py", "x\n")
    place.run("\x1b]0;t\x07`|<b>@x", params=params, tags={"t": "</td>"})
    return made(place, "@{1}", "@{0}")


def test_nothing_controls_the_terminal(place: Any) -> None:
    text = to_text(evil(place))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028\ud800-\udfff]", text)
    text.encode()
    params = text.split("Params\n")[1].split("\n\n")[0].splitlines()
    assert len(params) == len(EVIL) + 1


def test_nothing_breaks_markdown(place: Any) -> None:
    text = to_markdown(evil(place))
    table = text.split("**Params**\n\n")[1].split("\n\n")[0].splitlines()
    assert len(table) == len(EVIL) + 2
    for line, value in zip(table[2:], [EVIL[int(k[1:])] for k in sorted_keys(len(EVIL))]):
        assert line.count("|") == 4, line
        last = line.split("|")[3].strip()
        assert shown(last) == visible(value), line
    fence = re.search(r"^(`{3,})diff\n--- /dev/null\n\+\+\+ b/evil.md\n", text, re.MULTILINE)
    assert fence and len(fence[1]) == 5
    outside = re.sub(r"^(`{3,})diff\n.*?\n\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"`[^`\n]+`", "", outside)
    tags = set(re.findall(r"<[^>]*>?", outside))
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"}
    assert "@" not in outside


def sorted_keys(n: int) -> list[str]:
    return sorted(f"p{i}" for i in range(n))


def shown(cell: str) -> str:
    """What a reader sees of a cell that is a code span or a <code> element."""
    if cell.startswith("<code>"):
        return html.unescape(cell[6:-7])
    assert cell[0] == cell[-1] == "`" and "`" not in cell[1:-1]
    return cell[1:-1]


@pytest.mark.parametrize("text", EVIL)
def test_literals_are_one_element(text: str) -> None:
    found = literal(text)
    assert shown(found) == visible(text)
    assert "|" not in found and "\n" not in found


def test_markdown_fits(place: Any) -> None:
    place.run("a")
    for n in range(5):
        place.write(f"big{n}.txt", "".join(f"{i} {'y' * 40}\n" for i in range(700)))
    place.run("b", params={f"p{i}": "z" * 90 for i in range(500)}, metrics={"m": 1.0})
    text = to_markdown(made(place, "a", "b"))
    assert len(text) < 65_536 and "… and 400 more" in text
    assert "left out: too long" in text and text.count("<details>") == text.count("</details>")


def test_json(runs: Any) -> None:
    data = to_dict(made(runs))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    (run,) = data["runs"]
    assert run["metrics"]["inf"]["new"] == "Infinity"
    assert run["metrics"]["nan"]["old"] == "NaN" and run["metrics"]["nan"]["change"] is None
    assert run["metrics"]["acc"]["verdict"] == "worse"
    assert run["params"] == {"lr": {"status": "changed", "old": "0.1", "new": "0.2"}}
    assert run["tags"]["team"]["old"] is None
    assert "diff" in data["code"]["files"][0]
    assert "diff" not in to_dict(made(runs), stat=True)["code"]["files"][0]
    assert set(to_dict(made(runs), ["metrics"])["runs"][0]) == {
        "experiment",
        "old",
        "new",
        "metrics",
    }


def test_json_of_names_that_are_not_utf8(place: Any, tmp_path: Any) -> None:
    def log(data: bytes) -> Any:
        def work(run_id: str) -> None:
            folder = tmp_path / "d"
            folder.mkdir(exist_ok=True)
            with open(os.path.join(os.fsencode(folder), b"caf\xe9"), "wb") as f:
                f.write(data)
            place.store.log_artifact(run_id, os.fspath(folder))

        return work

    place.run("a", before_end=log(b"1"))
    place.write(b"caf\xe9.txt", b"\xff\n")
    place.run("b", before_end=log(b"2"))
    found = made(place, "a", "b")
    data = to_dict(found)
    json.dumps(data, ensure_ascii=False).encode()
    assert data["code"]["files"][0]["path"] == "caf\\xe9.txt"
    assert data["runs"][0]["artifacts"][0]["path"] == "d/caf\\xe9"
    assert "d/caf\\xe9" in to_text(found) and "d/caf" in to_markdown(found)


def test_several_experiments(place: Any) -> None:
    other = place.store.experiments.create("o|ther")
    for name, experiment in (("a", "0"), ("b", other)):
        run_id = place.run(name, experiment=experiment, params={"x": name})
        place.git("merge", "-q", "--ff-only", place.commit_of(run_id))
    place.commit("tip")
    text = to_text(made(place, "HEAD~3..HEAD"))
    assert "Experiment Default" in text and "Experiment o%7Cther" in text and "no record" in text
    assert "### Experiment" in to_markdown(made(place, "HEAD~3..HEAD"))


# -- the command


@pytest.fixture
def mlgit(runs: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(runs.path)
    for name in list(os.environ):
        if name.startswith(("MLGIT_", "MLFLOW_")):
            monkeypatch.delenv(name)

    def call(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["--no-pager", *arguments])
        return done.exit_code, done.output

    yield call
    uri.close_all()


def test_the_command(mlgit: Any) -> None:
    code, text = mlgit("diff")
    assert code == 0 and "Metrics" in text and "+lr = 0.2" in text
    assert mlgit("diff", "first", "second")[1] == text
    assert mlgit("diff", "first..second")[1] == text
    code, text = mlgit("diff", "--json", "--params")
    assert set(json.loads(text)["runs"][0]) >= {"params", "tags", "datasets"}
    assert "**Metrics**" in mlgit("diff", "--md", "--metrics")[1]
    assert "Code" not in mlgit("diff", "--metrics")[1]
    assert "\x1b[" in mlgit("--color=always", "diff")[1]
    assert "\x1b[" not in mlgit("diff")[1]


def test_exit_codes_of_the_command(mlgit: Any) -> None:
    assert mlgit("diff", "--exit-code")[0] == 1
    assert mlgit("diff", "--exit-code", "--json")[0] == 1
    assert mlgit("diff", "--exit-code", "first", "first")[0] == 0
    assert mlgit("diff", "--exit-code", "HEAD", "first", "--code")[0] == 0
    assert mlgit("diff", "nothing")[0] == 3
    assert mlgit("diff", "a", "b", "c")[0] == 2
    assert mlgit("diff", "--md", "--json")[0] == 2


def test_few_of_many_packages_are_named_before_the_code(place: Any) -> None:
    for at, name in enumerate(("one", "two")):
        versions = {f"p{number:03}": f"{at}.0" for number in range(60)}
        place.run(
            name, environment={"python": "3.11", "packages": versions}, params={"lr": str(at)}
        )
    comparison = made(place, "one", "two")
    for text in (to_text(comparison), to_markdown(comparison)):
        assert text.count("p0") == 10
        assert literal_free(text).count("and 50 more packages (mlgit diff --environment)") == 1
    assert to_text(comparison, ["environment"]).count("p0") == 60
    assert to_text(comparison, everything=True).count("p0") == 60
    assert len(to_dict(comparison)["runs"][0]["environment"]["packages"]) == 60


def literal_free(text: str) -> str:
    """Markdown without its backslashes."""
    return text.replace("\\", "")
