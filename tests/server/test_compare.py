"""The compare page: what it tells of runs, what it refuses, and what its charts are given."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from mlgit.store.gitstore import GitStore
from tests.support.hostile import PAYLOADS, check

Make = Callable[..., str]
NAN = float("nan")
INF = float("inf")


def rows(page: str) -> dict[str, list[str]]:
    """The cells of each row of the table, as text."""
    found = {}
    for row in re.findall(r"<tr[^>]*>(<th scope=\"row\".*?)</tr>", page, re.DOTALL):
        cells = re.split(r"<td[^>]*>", row)
        texts = [html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in cells]
        found[texts[0].split()[0]] = texts[1:]
    return found


def test_what_differs_comes_first_and_the_rest_on_demand(
    client: FlaskClient, make_run: Make
) -> None:
    one = make_run("one", metrics={"loss": 0.5, "acc": 0.9}, params={"lr": "0.1", "same": "x"})
    two = make_run("two", metrics={"loss": 0.25, "acc": 0.9}, params={"lr": "0.2", "same": "x"})
    page = client.get(f"/compare?runs={one},{two}").text
    told = rows(page)
    assert told["loss"] == ["0.5", "0.25 best"]
    assert told["lr"] == ["0.1", "0.2"]
    assert "same" not in told and "acc" not in told
    assert "what is equal too (2)" in page
    told = rows(client.get(f"/compare?run={one}&run={two}&all=1").text)
    assert told["acc"] == ["0.9", "0.9"] and told["same"] == ["x", "x"]
    told = rows(client.get(f"/compare?runs={one},{two}&all=1&name=SAM").text)
    assert set(told) & {"acc", "same", "loss"} == {"same"}


def test_differences_from_a_base(client: FlaskClient, make_run: Make) -> None:
    some = [(0.5, 0.9, 1.0), (0.25, 0.8, 3.0), (0.5, NAN, 1.0)]
    ids = [
        make_run(f"r{n}", metrics={"loss": loss, "acc": acc, "size": size}, params={"n": str(n)})
        for n, (loss, acc, size) in enumerate(some)
    ]
    address = f"/compare?runs={','.join(ids)}&all=1"
    link = re.search(
        r'href="([^"]+)" aria-label="base: differences from r0"', client.get(address).text
    )
    assert link
    page = client.get(html.unescape(link[1])).text
    told = rows(page)
    assert told["loss"] == ["0.5", "0.25 best-0.25 better", "0.5"]
    assert told["acc"] == ["0.9 best", "0.8-0.1 worse", "nan"]
    assert told["size"] == ["1", "3+2", "1"] and told["n"] == ["0", "1", "2"]
    assert "no differences from r0" in page and "all=1" in html.unescape(link[1])
    assert rows(client.get(f"{address}&base=nonsense").text)["size"] == ["1", "3", "1"]


def test_the_best_is_marked_by_the_metrics_direction(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    tag = {"mlgit.direction.cost": "max"}
    ids = [
        make_run(f"r{n}", metrics={"acc": a, "loss": b, "cost": c, "unknown": n}, tags=tag)
        for n, (a, b, c) in enumerate([(0.5, NAN, 1.0), (0.9, INF, 2.0), (0.9, -INF, 2.0)])
    ]
    told = rows(client.get(f"/compare?runs={','.join(ids)}").text)
    assert told["acc"] == ["0.5", "0.9 best", "0.9 best"]
    assert told["loss"] == ["nan", "inf", "-inf best"]
    assert told["cost"] == ["1", "2 best", "2 best"]
    assert told["unknown"] == ["0", "1", "2"]


def test_runs_stand_in_the_addresss_order_and_are_left_out_by_a_link(
    client: FlaskClient, make_run: Make
) -> None:
    ids = [make_run(name, params={"p": name}) for name in ("a", "b", "c")]
    page = client.get(f"/compare?runs={ids[2]},{ids[0]},{ids[1]},{ids[0]}&all=1").text
    assert rows(page)["p"] == ["c", "a", "b"]
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)" aria-label="Leave', page)]
    assert links == [
        f"/compare?all=1&runs={ids[0]},{ids[1]}",
        f"/compare?all=1&runs={ids[2]},{ids[1]}",
        f"/compare?all=1&runs={ids[2]},{ids[0]}",
    ]
    assert rows(client.get(links[0]).text)["p"] == ["a", "b"]


def test_runs_are_named_as_the_commands_name_them(client: FlaskClient, make_run: Make) -> None:
    one, two = make_run("first", params={"p": "1"}), make_run("second", params={"p": "2"})
    assert rows(client.get(f"/compare?runs=first,{two[:8]}").text)["p"] == ["1", "2"]
    assert rows(client.get(f"/compare?runs=first,{one},{two[:8]}").text)["p"] == ["1", "2"]


def test_what_cannot_be_compared_says_what_to_do(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    empty = client.get("/compare")
    assert empty.status_code == 200 and "No runs to compare" in empty.text
    one = make_run("one", metrics={"loss": 1.0})
    alone = client.get(f"/compare?runs={one}")
    assert alone.status_code == 200 and "Select more" in alone.text
    assert 'id="charts"' not in alone.text
    for text in ("0" * 32, "nothing", "'", "%00", "a'b", "../x"):
        answer = client.get("/compare", query_string={"runs": text})
        assert answer.status_code in (400, 404), text
        assert "What to do" in answer.text
        answer = client.get("/compare", query_string={"runs": f"{one},{text}"})
        assert answer.status_code == 200 and "It is left out" in answer.text
    many = ",".join(f"{n:032x}" for n in range(101))
    answer = client.get(f"/compare?runs={many}")
    assert answer.status_code == 400 and "101 runs" in answer.text and "filter" in answer.text
    assert client.get(f"/compare/data.json?runs={many}").status_code == 400


def test_deleted_runs_and_runs_without_anything_are_compared(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    gone, bare, going = make_run("gone"), make_run("bare"), make_run("going", status="RUNNING")
    store.runs.update(gone, lifecycle_stage="deleted")
    page = client.get(f"/compare?runs={gone},{bare},{going}")
    assert page.status_code == 200
    assert "deleted" in rows(page.text)["Status"][0]
    assert rows(page.text)["Status"][2] == "running"
    assert "Nothing differs" in page.text
    data = client.get(f"/compare/data.json?runs={gone},{bare},{going}").get_json()
    assert [column["name"] for column in data["columns"]] == ["duration"]
    assert data["columns"][0]["values"] == [0.5, 0.5, None]


def test_charts_get_numbers_as_numbers(client: FlaskClient, make_run: Make) -> None:
    one = make_run(metrics={"loss": NAN, "acc": 0.5}, params={"lr": "1e-3", "opt": "adam", "n": ""})
    two = make_run(metrics={"loss": INF}, params={"lr": "0.1", "opt": "nan", "n": "3"})
    answer = client.get(f"/compare/data.json?runs={one},{two}")
    columns = {column["name"]: column for column in answer.get_json()["columns"]}
    assert columns["params.lr"] == {"name": "params.lr", "numeric": True, "values": [0.001, 0.1]}
    assert columns["params.opt"]["values"] == ["adam", "nan"]
    assert not columns["params.opt"]["numeric"]
    assert columns["params.n"]["values"] == [None, 3.0]
    assert columns["metrics.loss"]["values"] == [None, None] and columns["metrics.loss"]["numeric"]
    assert columns["metrics.acc"]["values"] == [0.5, None]
    assert "NaN" not in answer.text and "Infinity" not in answer.text


def test_a_hundred_runs(client: FlaskClient, make_run: Make) -> None:
    ids = [
        make_run(
            f"r{n}",
            metrics={f"m{k}": float(n * k) for k in range(20)},
            params={f"p{k}": str(n + k) for k in range(20)},
        )
        for n in range(100)
    ]
    told = rows(client.get(f"/compare?runs={','.join(ids)}").text)
    assert len(told["p3"]) == 100 and told["p3"][99] == "102"
    assert "m0" not in told and len(told) == 6 + 39


@pytest.mark.parametrize("text", PAYLOADS)
def test_markup_is_text(client: FlaskClient, make_run: Make, text: str) -> None:
    one = make_run(text, params={"p": text}, tags={"t": text})
    two = make_run("plain", params={"p": "x"}, metrics={"loss": 1.0})
    named = {"runs": f"{one},{two},{text}", "name": text, "sx": text, "keep": text}
    for arguments in (named, {"runs": f"{one},{two}", "all": "1", "tint": text}):
        answer = client.get("/compare", query_string=arguments)
        assert answer.status_code == 200
        check(answer.text, text)
    data = client.get(f"/compare/data.json?runs={one},{two}")
    assert data.mimetype == "application/json"
