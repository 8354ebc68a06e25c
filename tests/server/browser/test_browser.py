"""The pages in a real browser: each interaction, in light, dark and on a phone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe import AXE, check_with_axe

from mlgit.entities import Metric, Param
from mlgit.store.gitstore import GitStore

Open = Callable[..., Any]
Serve = Callable[..., str]
Make = Callable[..., str]


def _names(page: Any) -> list[str]:
    rows = page.locator("table.runs tbody tr:visible th a:first-of-type")
    return [text.strip() for text in rows.all_inner_texts()]


def _until(page: Any, expression: str) -> None:
    """Wait for an expression; Playwright's own way is one that the pages' policy forbids."""
    from playwright.sync_api import Error

    for _ in range(400):
        try:
            if page.evaluate(expression):
                return
        except Error as error:
            if "context was destroyed" not in str(error):  # another page is on its way
                raise
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


def _runs(make_run: Make) -> list[str]:
    return [
        make_run(
            f"r{n}",
            metrics={"loss": n / 10, "acc": 1 - n / 10},
            params={"lr": str(10.0**-n), "model": "ab"[n % 2]},
        )
        for n in range(5)
    ]


def test_filter_sort_columns_group_and_back(serve: Serve, open_page: Open, make_run: Make) -> None:
    _runs(make_run)
    page = open_page(f"{serve()}/runs")
    page.get_by_role("link", name="loss").click()
    assert _names(page) == ["r4", "r3", "r2", "r1", "r0"]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.get_by_role("link", name="loss").click()
    assert _names(page) == ["r0", "r1", "r2", "r3", "r4"]
    page.fill("#search", "metrics.loss > 0.15 and params.model = 'a'")
    page.keyboard.press("Enter")
    page.wait_for_url("**filter=**")
    assert _names(page) == ["r2", "r4"]
    assert "order=" in page.url  # the rest of the state is kept
    page.locator("summary", has_text="Columns").click()
    while page.locator(".chooser input:checked").count():
        page.locator(".chooser input:checked").first.uncheck()
    page.get_by_label("lr", exact=True).check()
    page.get_by_role("button", name="Show these").click()
    page.wait_for_url("**column=**")
    assert page.locator("table.runs thead th").all_inner_texts()[2:] == ["param\nlr"]
    address = page.url
    page.go_back()
    page.goto(address)
    assert _names(page) == ["r2", "r4"]
    page.select_option("select[name=group]", "model")
    page.wait_for_url("**group=model**")
    page.get_by_role("link", name="a", exact=True).click()
    assert _names(page) == ["r2", "r4"]


def test_a_wrong_filter_is_told_at_the_box(serve: Serve, open_page: Open, make_run: Make) -> None:
    make_run()
    page = open_page(f"{serve()}/runs")
    page.fill("#search", "metrics.loss >")
    page.keyboard.press("Enter")
    page.wait_for_selector("#filter-problem")
    assert page.locator("#search").get_attribute("aria-invalid") == "true"
    assert page.input_value("#search") == "metrics.loss >"
    page.complaints.clear()  # the browser notes the status 400


def test_fields_are_completed(serve: Serve, open_page: Open, make_run: Make) -> None:
    make_run(metrics={"val loss": 1.0, "val_acc": 2.0})
    page = open_page(f"{serve()}/runs")
    page.locator("#search").press_sequentially("val")
    page.wait_for_selector("[role=option]")
    assert page.locator("[role=option]").all_inner_texts() == [
        "metrics.`val loss`",
        "metrics.val_acc",
    ]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#search") == "metrics.val_acc "
    page.keyboard.type("> 1 and sta")
    page.wait_for_selector("[role=option]")
    page.keyboard.press("Escape")
    assert page.locator("[role=option]:visible").count() == 0
    page.keyboard.type("x = 'params")
    assert page.locator("[role=option]:visible").count() == 0  # in a value nothing is


def test_values_are_completed(serve: Serve, open_page: Open, make_run: Make) -> None:
    for model in ("tree", "it's", "transformer"):
        make_run(model, params={"kind of": model})
    page = open_page(f"{serve()}/runs")
    page.locator("#search").press_sequentially("params.`kind of` = ")
    page.wait_for_selector("[role=option]")
    assert page.locator("[role=option]").all_inner_texts() == [
        '"it\'s"',
        "'transformer'",
        "'tree'",
    ]
    page.keyboard.type("'tre")
    _until(page, "document.querySelectorAll('[role=option]').length === 1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.input_value("#search") == "params.`kind of` = 'tree' "
    page.keyboard.press("Enter")
    page.wait_for_url("**filter=**")
    assert _names(page) == ["tree"]
    page.fill("#search", "")
    page.locator("#search").press_sequentially("status IN ('FINISHED', 'K")
    page.wait_for_selector("[role=option]")
    assert page.locator("[role=option]").all_inner_texts() == ["'KILLED'"]


def test_columns_are_moved(serve: Serve, open_page: Open, make_run: Make) -> None:
    _runs(make_run)
    page = open_page(f"{serve()}/runs?column=status&column=params.lr&column=metrics.loss")
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("button", name="Move loss to the front").click()
    page.keyboard.press("Enter")  # it has the focus still
    assert page.locator(".order [role=status]").inner_text() == "loss: 1 of 3"
    page.keyboard.press("ArrowUp")  # it is the first already
    page.get_by_role("button", name="Move Status to the front").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_label("lr", exact=True).uncheck()
    page.get_by_label("acc", exact=True).check()
    page.get_by_role("button", name="Show these").click()
    page.wait_for_url("**column=**acc**")
    heads = page.locator("table.runs thead th").all_inner_texts()[2:]
    assert [head.split("\n")[-1] for head in heads] == ["loss", "Status", "acc"]


def test_notes_are_looked_at_and_rows_found(serve: Serve, open_page: Open, make_run: Make) -> None:
    run = make_run(metrics={f"m{n:02}": 1.0 for n in range(20)})
    page = open_page(f"{serve(allow_write=True)}/runs/{run}")
    page.fill("#note", "**so** <b>x</b>")
    page.get_by_role("button", name="Preview").click()
    page.wait_for_selector("[data-previewed] strong")
    assert page.locator("[data-previewed]").inner_text() == "so <b>x</b>"
    page.get_by_role("button", name="Save").click()
    _until(page, "document.querySelector('.prose:not([data-previewed]) strong') !== null")
    page.get_by_label("Find a metric").fill("M1")
    assert page.locator("tr[data-metric]:visible").count() == 10
    assert page.locator(".find [role=status]").inner_text() == "10 of 20"


def test_selected_runs_are_tagged(
    serve: Serve, open_page: Open, store: GitStore, make_run: Make
) -> None:
    runs = [make_run(f"r{n}") for n in range(3)]
    page = open_page(f"{serve(allow_write=True)}/runs")
    for name in ("r0", "r2"):
        page.get_by_label(f"Select {name}").check()
    page.locator("summary", has_text="Tag").click()
    page.get_by_label("Tag of the selected runs").fill("team")
    page.get_by_label("Value; none removes it").fill("vision")
    page.keyboard.press("Enter")  # and not "Compare 2", which is the form's first button
    _until(page, "document.querySelectorAll('tbody .pick input:checked').length === 0")
    assert page.url.endswith("/runs")
    assert [store.runs.record(run).tags.get("team") for run in runs] == ["vision", None, "vision"]


def test_an_experiment_is_described_in_the_browser(
    serve: Serve, open_page: Open, store: GitStore
) -> None:
    experiment = store.experiments.create("one")
    page = open_page(f"{serve(allow_write=True)}/experiments/{experiment}", phone=True)
    page.locator("summary", has_text="Describe").click()
    page.fill("#note", "# Why\n\nso")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(".prose h3")
    assert page.locator(".prose").first.inner_text().split() == ["Why", "so"]


def test_keys_fold_and_select(serve: Serve, open_page: Open, make_run: Make) -> None:
    parent = make_run("parent")
    child = make_run("child", parent=parent)
    make_run("grandchild", parent=child)
    make_run("other")
    page = open_page(f"{serve()}/runs")
    assert _names(page) == ["other", "parent", "child", "grandchild"]
    page.get_by_label("Runs nested in child").click()
    assert _names(page) == ["other", "parent", "child"]
    page.get_by_label("Runs nested in parent").click()
    assert _names(page) == ["other", "parent"]
    page.get_by_label("Runs nested in parent").click()
    assert _names(page) == ["other", "parent", "child"]  # what was folded stays so
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("tr.picked").count() == 1
    page.get_by_label("Select all runs of this page").check()
    assert page.locator("tr.picked").count() == 4
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("?")
    assert not page.locator("#keys-list").is_visible()
    page.locator("h1").click()
    page.keyboard.press("?")
    assert page.locator("#keys-list").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_selector("h1:has-text('Experiments')")


def test_light_and_dark(serve: Serve, open_page: Open, make_run: Make) -> None:
    make_run()
    url = serve()

    def back(page: Any) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light, dark = open_page(url), open_page(url, dark=True)
    assert back(light) != back(dark)
    light.click("#theme")
    assert back(light) == back(dark)
    light.goto(f"{url}/runs")
    assert back(light) == back(dark)  # the choice is kept


def _long_run(store: GitStore, points: int) -> str:
    record = store.runs.create("0", run_name="long", start_time=1_700_000_000_000, owner=True)
    found = [
        Metric(key, 2 + math.sin(n / 500) + (5 if n == 777 else 0), 1_700_000_000_000 + n, n)
        for key in ("loss", "system/cpu")
        for n in range(points)
    ]
    store.runs.log_batch(record.run_id, found)
    store.runs.finish(record.run_id, "FINISHED")
    return record.run_id


def test_charts_are_drawn_smoothed_and_scaled(
    serve: Serve, open_page: Open, store: GitStore
) -> None:
    run = _long_run(store, 20_000)
    page = open_page(f"{serve()}/runs/{run}/charts")
    page.wait_for_selector("figure[data-key=loss][data-drawn]")
    drawn = "document.querySelector('figure[data-key=loss] .plot').uplot"
    assert page.evaluate(f"Math.max(...{drawn}.data[1])") > 7  # the spike is there
    assert page.evaluate(f"{drawn}.data[0].length") < 3000
    assert "20000 points" in page.locator("figure[data-key=loss] .says").inner_text()
    page.locator("[name=smooth]").fill("0.9")
    _until(page, f"{drawn}.data.length === 3")
    page.select_option("[name=x]", "relative")
    _until(page, f"{drawn}.data[0].at(-1) < 25")
    page.check("[name=logy]")
    _until(page, f"{drawn}.scales.y.distr === 3")
    assert re.search(r"smooth=0.9.*x=relative.*logy=1", page.url)
    page.reload()
    page.wait_for_selector("figure[data-key=loss][data-drawn]")
    _until(page, f"{drawn}.scales.y.distr === 3 && {drawn}.data.length === 3")
    page.locator("figure[data-key=loss] .u-over").hover()
    assert " s: " in page.locator("figure[data-key=loss] .says").inner_text()
    page.fill("[name=find]", "nothing")
    assert page.locator("figure.chart:visible").count() == 0


def test_a_going_run_is_drawn_as_it_goes_on(serve: Serve, open_page: Open, store: GitStore) -> None:
    run = store.runs.create("0", run_name="going", owner=True).run_id
    store.runs.log_batch(run, [Metric("loss", 1.0, 1000, 0)], [Param("lr", "1")])
    url = serve()
    overview, table = open_page(f"{url}/runs/{run}"), open_page(f"{url}/runs")
    page = open_page(f"{url}/runs/{run}/charts")
    for one in (overview, table, page):
        one.wait_for_selector("#live:has-text('live')")
    page.wait_for_selector("figure[data-key=loss][data-drawn]")
    for step in (1, 2, 3):
        store.runs.log_metric(run, "loss", 10.0 + step, 1000 + step, step)
    drawn = "document.querySelector('figure[data-key=loss] .plot').uplot"
    _until(page, f"{drawn}?.data[1].join() === '1,11,12,13'")
    overview.wait_for_selector("tr[data-metric=loss] [data-value]:has-text('13')")
    table.wait_for_selector("td[data-column='metrics.loss']:has-text('13')")
    store.runs.log_metric(run, "new", 5.0, 2000, 0)
    page.wait_for_selector("figure[data-key=new][data-drawn]")
    store.runs.finish(run, "FINISHED")
    page.wait_for_selector(".status:has-text('finished')")
    overview.wait_for_selector(".status:has-text('finished')")
    table.wait_for_selector("td[data-column=status]:has-text('ended')")


def test_odd_metrics_are_drawn_or_told(
    serve: Serve, open_page: Open, store: GitStore, make_run: Make
) -> None:
    run = make_run(
        metrics={"one": 0.8400000000000001, "never": float("nan"), "inf": float("inf")},
        status="RUNNING",
    )
    step = 9_007_199_254_740_000
    for key, values in {
        "largest": [-1.7e308, 1.7e308, 3.0],
        "smallest": [1e-310, 3e-310, 2e-310],
        "late": [float(n) for n in range(100)],
    }.items():
        points = [Metric(key, value, 1000 + n, step + n) for n, value in enumerate(values)]
        store.runs.log_batch(run, points, [], [])
    store.runs.finish(run, "FINISHED")
    page = open_page(f"{serve()}/runs/{run}/charts")
    for key in ("largest", "smallest", "late"):
        figure = f"document.querySelector('figure[data-key={key}] .plot')"
        page.locator(f"figure[data-key={key}]").scroll_into_view_if_needed()
        _until(page, f"{figure}?.uplot?.data[1].length > 2")
        # Within the chart, from its bottom to its top.
        places = page.evaluate(
            f"{figure}.uplot.data[1].map((v) => {figure}.uplot.valToPos(v, 'y'))"
        )
        height = page.evaluate(f"{figure}.uplot.bbox.height / devicePixelRatio")
        assert all(0 <= place <= height for place in places), (key, places)
        assert max(places) - min(places) > height / 2, (key, places)
        ticks = page.evaluate(f"{figure}.uplot.axes[1]._values")
        assert len({tick for tick in ticks if tick}) > 2 and "Infinity" not in str(ticks), ticks
        assert all(tick.count("e") <= 1 for tick in ticks if tick), ticks
    assert "last 3" in page.inner_text("figure[data-key=largest] .says")
    xs = page.evaluate(
        "document.querySelector('figure[data-key=late] .plot').uplot.axes[0]._values"
    )
    assert len(set(xs)) == len(xs) > 1 and all(x.startswith("90071992547") for x in xs)
    assert page.inner_text("figure[data-key=one] .single") == "0.84"
    for key in ("never", "inf"):
        assert page.inner_text(f"figure[data-key={key}] .single") == "no finite value"


def test_artifacts_are_shown(serve: Serve, open_page: Open, make_run: Make) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
    run = make_run(artifacts={"plots/a.svg": svg, "t.csv": b"a,b\n1,2\n", "r.md": b"# Title\n"})
    page = open_page(f"{serve()}/runs/{run}/artifacts/")
    page.get_by_role("link", name="plots/").click()
    image = page.locator(".gallery img")
    image.scroll_into_view_if_needed()
    _until(page, "document.querySelector('.gallery img').naturalWidth === 9")
    page.get_by_role("link", name="artifacts", exact=True).click()
    page.get_by_role("link", name="t.csv").click()
    assert page.locator(".preview td").all_inner_texts() == ["1", "2"]
    page.get_by_role("link", name="r.md").click()
    assert page.locator(".prose h3").inner_text() == "Title"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == b"# Title\n"


def test_logged_html_runs_apart_or_not_at_all(
    serve: Serve, open_page: Open, make_run: Make
) -> None:
    page_of_theirs = b"""<p id=p>still</p><script>
      const tried = [];
      const attempt = (name, f) => { try { f(); tried.push(name); } catch { } };
      attempt('cookie', () => document.cookie);
      attempt('storage', () => localStorage.length);
      attempt('parent', () => parent.document.title);
      attempt('top', () => { if (top !== self) top.location = 'about:blank'; else throw 0; });
      fetch('/runs').then(() => { document.getElementById('p').textContent += ' fetched'; }).catch(() => {});
      document.getElementById('p').textContent = 'ran: ' + tried.join();
    </script>"""
    run = make_run(artifacts={"x.html": page_of_theirs})
    url = serve()
    page = open_page(f"{url}/runs/{run}/artifacts/x.html")
    frame = page.frame_locator("iframe")
    assert frame.locator("#p").inner_text() == "still"
    page.get_by_role("link", name="Run them").click()
    page.wait_for_selector("iframe[sandbox=allow-scripts]")
    frame.locator("#p:has-text('ran:')").wait_for()
    page.wait_for_timeout(300)
    assert frame.locator("#p").inner_text() == "ran:"
    assert page.url.startswith(url)
    # By itself in a tab it is as far from us.
    page.goto(f"{url}/runs/{run}/frame/x.html?scripts=1")
    page.wait_for_selector("#p:has-text('ran:')")
    assert "cookie" not in page.locator("#p").inner_text()
    page.complaints.clear()  # the browser says what it forbade


def test_writing_where_it_is_allowed(
    serve: Serve, open_page: Open, store: GitStore, make_run: Make
) -> None:
    run = make_run("before")
    page = open_page(f"{serve(allow_write=True)}/runs/{run}")
    page.get_by_role("button", name="Star").click()
    page.wait_for_selector("button[aria-pressed=true]")
    page.locator("summary", has_text="Rename").click()
    page.fill("#name", "<after>")
    page.locator(".panel button", has_text="Rename").click()
    page.wait_for_selector("h1:has-text('<after>')")
    page.fill("#note", "**bold**\n\n- x")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(".prose strong:has-text('bold')")
    page.get_by_role("button", name="Delete").click()
    page.wait_for_selector("text=This run is deleted")
    page.get_by_role("button", name="Restore").click()
    page.wait_for_selector("button:has-text('Delete')")
    record = store.runs.record(run)
    assert record.run_name == "<after>" and record.tags["mlgit.starred"] == "true"


def test_the_token_is_asked_for_once(serve: Serve, open_page: Open, make_run: Make) -> None:
    make_run("secret-run")
    token = "a-token-of-enough-letters"
    page = open_page(f"{serve(token=token)}/runs?flat=1")
    assert "secret-run" not in page.content()
    page.fill("#token", token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs?flat=1")
    assert _names(page) == ["secret-run"]


def test_commands_are_copied(serve: Serve, open_page: Open, make_run: Make) -> None:
    run = make_run(artifacts={"a": b"a"})
    page = open_page(f"{serve()}/runs/{run}")
    page.get_by_role("button", name=f"Copy: mlgit artifacts download {run[:8]}").click()
    page.wait_for_selector("button:has-text('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == f"mlgit artifacts download {run[:8]}"


def test_without_scripts_all_is_there_but_charts(
    serve: Serve, open_page: Open, make_run: Make
) -> None:
    (*_, run) = _runs(make_run)
    url = serve()
    page = open_page(f"{url}/runs?order=metrics.loss+ASC", scripts=False)
    assert _names(page) == ["r0", "r1", "r2", "r3", "r4"]
    page.locator("#search").fill("metrics.loss > 0.25")
    page.locator("#search").press("Enter")
    assert _names(page) == ["r3", "r4"]
    page.goto(f"{url}/runs/{run}")
    assert page.get_by_role("row", name="loss").count()


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_every_page_is_accessible_and_fits(
    serve: Serve,
    open_page: Open,
    make_run: Make,
    store: GitStore,
    repo_dir: Path,
    dark: bool,
    phone: bool,
) -> None:
    (repo_dir / "train.py").write_text("print('changed')\n" + "x = 1  # " + "long " * 60 + "\n")
    parent = make_run("a" * 120, metrics={"loss": 0.5, "b" * 60: 1.0}, params={"p": "v " * 300})
    run = make_run(
        "child",
        parent=parent,
        metrics={"loss": 1.0},
        tags={"mlflow.note.content": "# N\n\n|a|b|\n|-|-|\n|1|2|", "t": "w" * 300},
        artifacts={
            "d/a.csv": b"a,b\n1,2\n",
            "r.md": b"# T\n",
            "x.html": b"<p>x</p>",
            "s.wav": b"RIFF",
            "l.txt": b"l " * 900,
        },
    )
    make_run("failed", status="FAILED")
    url = serve(allow_write=True)
    pages = [
        "/",
        "/runs",
        "/experiments/0",
        "/runs?group=p",
        "/runs?filter=x",
        "/nothing",
        f"/runs/{run}",
    ]
    pages += [
        f"/runs/{run}/{name}" for name in ("charts", "artifacts/", "artifacts/d/a.csv", "code/")
    ]
    pages += [
        f"/runs/{run}/{name}"
        for name in ("artifacts/r.md", "artifacts/x.html", "artifacts/l.txt", "artifacts/s.wav")
    ]
    pages += [f"/runs/{run}/{name}" for name in ("code/train.py", "changes", "environment")]
    page = open_page(url, dark=dark, phone=phone)
    for path in pages:
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} pixels too wide"
        if AXE:
            check_with_axe(page, path)
    page.complaints.clear()  # of status 404 and 400
