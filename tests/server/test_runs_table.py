"""The runs table: what it shows, sorts, filters, groups and exports."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable

from flask.testing import FlaskClient

from mlgit.entities import Param
from mlgit.store.gitstore import GitStore
from mlgit.store.runsearch import PARENT_RUN
from mlgit.store.timeform import now_ms


def names(page: str) -> list[str]:
    """The runs' names, from top to bottom."""
    return re.findall(r'aria-label="Select (\S+)"', page)


def test_an_empty_repository_says_how_to_begin(client: FlaskClient) -> None:
    for path in ("/", "/runs"):
        page = client.get(path)
        assert page.status_code == 200
        assert "No runs yet" in page.text and "mlgit.start_run" in page.text


def test_experiments_lead_to_their_runs(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    other = store.experiments.create("other/one")
    make_run("in-default")
    make_run("in-other", experiment=other)
    page = client.get("/").text
    assert f'href="/experiments/{other}"' in page and "other/one" in page
    assert names(client.get(f"/experiments/{other}").text) == ["in-other"]
    assert names(client.get("/runs").text) == ["in-other", "in-default"]
    assert client.get("/?q=OTHER").text.count('scope="row"') == 1
    assert "No experiment matches" in client.get("/?q=nothing").text


def test_sorting_filtering_and_paging_are_in_the_address(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    for n in range(30):
        make_run(f"r{n:02}", metrics={"loss": float(n)}, params={"model": "ab"[n % 2]})
    page = client.get("/runs?order=metrics.loss+ASC&size=25").text
    assert names(page) == [f"r{n:02}" for n in range(25)]
    assert 'aria-sort="ascending"' in page
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    rest = client.get(html.unescape(following[1])).text
    assert names(rest) == [f"r{n:02}" for n in range(25, 30)]
    found = client.get("/runs?filter=metrics.loss+%3E+25+and+params.model+%3D+'b'").text
    assert names(found) == ["r29", "r27"]


def test_a_filter_that_does_not_parse_is_explained_at_the_box(client: FlaskClient) -> None:
    answer = client.get("/runs?filter=stauts+%3D+'FINISHED'")
    assert answer.status_code == 400
    assert 'aria-describedby="filter-problem"' in answer.text
    assert "no attribute" in answer.text and "did you mean status?" in answer.text
    answer = client.get("/runs?order=metrics.loss+SIDEWAYS")
    assert answer.status_code == 400 and 'id="order-problem"' in answer.text


def test_runs_of_the_last_hour_alone(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    make_run("old", params={"model": "a"})
    for name in ("new", "newer"):
        begun = now_ms() - 60_000
        record = store.runs.create("0", run_name=name, start_time=begun, owner=True)
        store.runs.log_batch(record.run_id, [], [Param("model", "a")], [])
        store.runs.finish(record.run_id, "FINISHED")
    both = client.get("/runs?since=hour").text
    assert sorted(names(both)) == ["new", "newer"] and "3 runs" not in both
    assert names(
        client.get("/runs?since=hour&filter=run_name+%3D+'old'+OR+run_name+%3D+'new'").text
    ) == ["new"]
    assert '<td class="right">2</td>' in client.get("/runs?since=day&group=model").text
    rows = csv.DictReader(io.StringIO(client.get("/runs.csv?since=hour").text))
    assert {row["run_name"] for row in rows} == {"new", "newer"}
    assert len(names(client.get("/runs?since=nonsense").text)) == 3
    wrong = client.get("/runs?since=hour&filter=stauts+%3D+'x'")
    assert wrong.status_code == 400 and "start_time" not in wrong.text.partition("problem")[2][:400]


def test_nested_runs_stand_below_their_parents(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    first = make_run("first")
    make_run("second")
    child = make_run("child", parent=first)
    make_run("grandchild", parent=child)
    page = client.get("/runs").text
    assert names(page) == ["second", "first", "child", "grandchild"]
    assert re.findall(r'data-depth="(\d)"', page) == ["0", "0", "1", "2"]
    assert names(client.get("/runs?flat=1").text) == ["grandchild", "child", "second", "first"]


def test_no_run_is_hidden_by_its_parent(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    other = store.experiments.create("other")
    absent = make_run("orphan", parent="0" * 32)
    elsewhere = make_run("elsewhere", experiment=other)
    make_run("apart", parent=elsewhere)
    archived = make_run("archived")
    make_run("left", parent=archived)
    store.runs.update(archived, lifecycle_stage="deleted")
    own = make_run("own")
    store.runs.set_tag(own, PARENT_RUN, own)
    circle = [make_run(f"circle-{n}") for n in range(3)]
    for n, run_id in enumerate(circle):
        store.runs.set_tag(run_id, PARENT_RUN, circle[n - 1])
    make_run("below-circle", parent=circle[0])
    make_run("below-orphan", parent=absent)

    shown = names(client.get("/runs?experiment=0").text)
    flat = names(client.get("/runs?experiment=0&flat=1").text)
    assert sorted(shown) == sorted(flat) and len(flat) == 9
    everything = client.get("/runs").text
    assert sorted(names(everything)) == sorted([*flat, "elsewhere"])
    depths = dict(zip(names(everything), re.findall(r'data-depth="(\d)"', everything)))
    below = {"apart", "below-circle", "below-orphan"}
    assert {name for name, depth in depths.items() if depth != "0"} == below
    for order in ("metrics.none+ASC", "run_name+ASC", "start_time+ASC", "status+DESC"):
        assert sorted(names(client.get(f"/runs?experiment=0&order={order}").text)) == sorted(flat)


def test_groups_of_a_param_sum_up_metrics_and_lead_to_their_runs(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    for n in range(4):
        make_run(f"r{n}", metrics={"acc": n / 10}, params={"model": "it's" if n else 'a"b'})
    make_run("without")
    page = client.get("/runs?group=model").text
    assert re.findall(r'scope="row">(?:<a[^>]*>)?(.*?)<', page) == [
        "it&#39;s",
        "",
        "a&#34;b",
    ]
    link = re.search(r'<a href="([^"]+)">it&#39;s', page)
    assert link
    narrowed = client.get(html.unescape(link[1])).text
    assert names(narrowed) == ["r3", "r2", "r1"]
    assert "0.2" in page and "0.1" in page and "0.3" in page


def test_columns_are_chosen(client: FlaskClient, make_run: Callable[..., str]) -> None:
    make_run("r", metrics={"a b": 1.0, "c": 2.0}, params={"p": "x"}, tags={"t": "y"})
    page = client.get("/runs?column=tags.t&column=metrics.a+b&column=nonsense").text
    assert re.findall(r'data-column="([^"]+)"', page) == ["tags.t", "metrics.a b"]
    assert "metrics.%60a+b%60" in page or "metrics.`a+b`" in page  # sorted by, quoted


def test_csv_holds_every_run_and_no_formulas(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    make_run("=cmd()", metrics={"loss": -0.5}, params={"p": "+1+1", "q": "-2"})
    make_run("plain", metrics={"loss": float("nan")})
    answer = client.get("/runs.csv")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["run_name"] for row in rows] == ["plain", "'=cmd()"]
    assert [row["metrics.loss"] for row in rows] == ["nan", "-0.5"]
    assert (rows[1]["params.p"], rows[1]["params.q"]) == ("'+1+1", "-2")


def test_csv_continues_over_pages(
    client: FlaskClient, make_run: Callable[..., str], monkeypatch: object
) -> None:
    from mlgit.server import runs

    for n in range(5):
        make_run(f"r{n}")
    before = runs._CSV_PAGE
    runs._CSV_PAGE = 2
    try:
        rows = list(csv.DictReader(io.StringIO(client.get("/runs.csv").text)))
    finally:
        runs._CSV_PAGE = before
    assert [row["run_name"] for row in rows] == ["r4", "r3", "r2", "r1", "r0"]


def test_what_is_not_there_says_so(client: FlaskClient, make_run: Callable[..., str]) -> None:
    make_run()
    for path in ("/nothing", "/experiments/12345678901234567890"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "What to do" in answer.text
    assert "There are no more runs" in client.get("/runs?page=40").text
    assert client.get("/runs?page=-1&size=x&view=what&group=&experiment=").status_code == 200


def test_selected_runs_are_starred_deleted_and_restored(
    open_app: Callable[..., FlaskClient], store: GitStore, make_run: Callable[..., str]
) -> None:
    runs = [make_run(f"r{n}") for n in range(3)]
    client = open_app(allow_write=True)
    page = client.get("/runs?flat=1").text
    button = re.search(r'formaction="([^"]*delete[^"]*)" name="csrf" value="([^"]+)"', page)
    assert button and "/selection/" not in open_app().get("/runs").text

    def send(action: str, *chosen: str, **more: str) -> str:
        path = html.unescape(button[1]).replace("delete", action)
        data = {"csrf": button[2], "run": list(chosen), **more}
        answer = client.post(path, data=data, headers={"Origin": "http://localhost"})
        assert answer.status_code == 303, answer.text
        return answer.location

    assert send("delete", *runs[:2]) == "/runs?flat=1"
    assert names(client.get("/runs").text) == ["r2"]
    send("restore", runs[0], runs[2])
    assert names(client.get("/runs").text) == ["r2", "r0"]
    send("tag", *runs[1:], key="team", value="vision")  # the deleted one isn't changed
    assert store.runs.record(runs[2]).tags["team"] == "vision"
    assert "team" not in store.runs.record(runs[1]).tags | store.runs.record(runs[0]).tags
    send("tag", *runs, key="team", value="")
    assert "team" not in store.runs.record(runs[2]).tags
    send("star", *runs)
    assert all("mlgit.starred" in store.runs.record(run).tags for run in (runs[0], runs[2]))
