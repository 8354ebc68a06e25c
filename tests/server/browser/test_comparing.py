"""Comparing in a real browser: charts over runs, diffs and branches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe import AXE, check_with_axe

from mlgit.entities import Metric
from mlgit.store.gitstore import GitStore
from tests.server.browser.test_browser import _until

Open = Callable[..., Any]
Serve = Callable[..., str]
Make = Callable[..., str]
Git = Callable[..., str]
# What sticks out of the page, and out of nothing that scrolls by itself.
WIDE = """[...document.querySelectorAll("body *")].filter((one) => {
  if (one.getBoundingClientRect().right <= innerWidth) return false;
  for (let above = one.parentElement; above; above = above.parentElement)
    if (getComputedStyle(above).overflowX !== "visible" && above !== document.body) return false;
  return true;
}).slice(0, 5).map((one) => one.outerHTML.slice(0, 120))"""
READY = "document.querySelectorAll('form[data-chart=scatter] ~ .drawn figure > svg').length === 1"


@pytest.fixture
def runs(store: GitStore, make_run: Make) -> list[str]:
    """Five runs with params, last values and histories."""
    ids = []
    for n in range(5):
        run_id = make_run(
            f"r{n}",
            params={"lr": str(10.0**-n), "model": "ab"[n % 2], "depth": str(n)},
            metrics={"loss": n / 10 + 0.1, "acc": 1 - n / 10},
            status="RUNNING",
        )
        points = [Metric("val_loss", 1 / k + n, 1000 * k, k) for k in range(1, 60)]
        store.runs.log_batch(run_id, points)
        store.runs.finish(run_id, "FINISHED", 1_700_000_100_000)
        ids.append(run_id)
    return ids


def _box(page: Any, name: str) -> Any:
    return page.locator(f"section[aria-labelledby={name}]")


def test_runs_are_hidden_in_all_charts(serve: Serve, open_page: Open, runs: list[str]) -> None:
    page = open_page(f"{serve()}/compare?runs={','.join(runs)}")
    _until(page, READY)
    marks = "[...document.querySelectorAll('section[aria-labelledby=scatter] a circle')]"
    colour = page.evaluate(f"{marks}[3].getAttribute('fill')")
    page.get_by_role("checkbox", name="r1").uncheck()
    _until(page, f"{marks}.length === 4")
    assert page.evaluate(f"{marks}[2].getAttribute('fill')") == colour  # r3 is its own still
    assert f"hide={runs[1]}" in page.url
    page.reload()
    _until(page, f"{READY} && {marks}.length === 4")
    figure = page.locator("figure[data-key=val_loss]")
    figure.scroll_into_view_if_needed()
    table = "document.querySelector('figure[data-key=val_loss] tbody').rows.length"
    _until(page, f"{table} === 4")
    page.get_by_role("checkbox", name="r1").check()
    _until(page, f"{table} === 5")
    for n in range(5):
        page.get_by_role("checkbox", name=f"r{n}").uncheck()
    _until(page, f"{table} === 0 && {marks}.length === 0")
    assert "All its runs are hidden" in figure.inner_text()


def test_metrics_of_one_value_are_bars(serve: Serve, open_page: Open, runs: list[str]) -> None:
    page = open_page(f"{serve()}/compare?runs={','.join(runs)}&all=1")
    figure = page.locator("figure[data-key=loss]")
    figure.scroll_into_view_if_needed()
    _until(page, "document.querySelectorAll('figure[data-key=loss] .bars li').length === 5")
    assert [text.split() for text in figure.locator("li").all_inner_texts()] == [
        [f"r{n}", text] for n, text in enumerate(("0.1", "0.2", "0.3", "0.4", "0.5"))
    ]
    widths = figure.locator(".track > span").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().width)"
    )
    assert widths == sorted(widths) and widths[-1] == pytest.approx(5 * widths[0], rel=0.05)
    curve = page.locator("figure[data-key=val_loss]")
    curve.scroll_into_view_if_needed()
    _until(page, "document.querySelector('figure[data-key=val_loss] canvas') !== null")
    assert curve.locator(".bars").count() == 0


def test_boxes_show_how_a_metric_is_spread(serve: Serve, open_page: Open, runs: list[str]) -> None:
    page = open_page(f"{serve()}/compare?runs={','.join(runs)}&gx=params.model&gy=metrics.loss")
    _until(page, READY)
    found = _box(page, "box").locator(".box-of-runs")
    labels = [found.nth(n).get_attribute("aria-label") for n in range(found.count())]
    assert labels == [
        "a: 3 runs, least 0.1, quartiles 0.2, 0.3 and 0.4, greatest 0.5",
        "b: 2 runs, least 0.2, quartiles 0.25, 0.3 and 0.35, greatest 0.4",
    ]
    page.select_option("select[name=gx]", "params.depth")
    _until(page, "document.querySelectorAll('.box-of-runs').length === 5")
    assert "gx=params.depth" in page.url


def test_runs_are_selected_and_compared(serve: Serve, open_page: Open, runs: list[str]) -> None:
    page = open_page(f"{serve()}/runs")
    for n in (1, 3):
        page.get_by_label(f"Select r{n}").check()
    page.get_by_role("button", name="Compare 2").click()
    page.wait_for_url("**/compare?**")
    assert "2 runs compared" in page.inner_text("h1")
    head = page.inner_text(".beside thead")
    assert "r1" in head and "r3" in head and "r2" not in head
    page.get_by_role("link", name="Everything that differs").click()
    page.wait_for_url("**/diff?**")
    assert "0.01" not in page.inner_text("h1")
    assert page.locator(".review td.good, .review td.bad").count() > 0


def test_charts_follow_their_controls_and_the_address_holds_them(
    serve: Serve, open_page: Open, runs: list[str]
) -> None:
    url = serve()
    page = open_page(f"{url}/compare?runs={','.join(runs)}")
    _until(page, READY)
    assert _box(page, "scatter").locator("circle").count() == 5
    page.locator("select[name=sx]").select_option("params.model")
    page.locator("select[name=sy]").select_option("metrics.loss")
    page.locator("select[name=colour]").select_option("params.depth")
    page.locator("input[name=ylog]").check()
    assert "sx=params.model" in page.url and "ylog=1" in page.url
    assert "model" in _box(page, "scatter").locator("text.title").all_text_contents()
    again = open_page(page.url)
    _until(again, READY)
    assert again.locator("select[name=sx]").input_value() == "params.model"
    assert again.locator("input[name=ylog]").is_checked()
    # Who changes the table keeps the charts.
    again.locator("input[name=all]").check()
    again.wait_for_url("**all=1**")
    assert "sx=params.model" in again.url
    again.get_by_role("link", name="Leave r4 out").click()
    _until(again, "document.querySelector('h1')?.textContent.includes('4 runs') ?? false")
    _until(again, READY)
    assert again.locator("select[name=sx]").input_value() == "params.model"
    assert _box(again, "scatter").locator("circle").count() == 4


def test_each_chart_has_a_table_and_links_for_the_keyboard(
    serve: Serve, open_page: Open, runs: list[str]
) -> None:
    page = open_page(f"{serve()}/compare?runs={','.join(runs)}")
    _until(page, READY)
    for name in ("parallel", "scatter", "contour"):
        box = _box(page, name)
        box.get_by_text("As a table").focus()
        page.keyboard.press("Enter")
        assert box.locator("details[open] tbody tr").count() == 5, name
    mark = _box(page, "scatter").locator("a.mark-of-run").nth(2)
    mark.focus()
    told = _box(page, "scatter").locator(".said").inner_text()
    assert told.startswith("r2: ") and "acc 0.8" in told
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{runs[2]}")


def test_ranges_fade_runs_by_fields_and_by_dragging(
    serve: Serve, open_page: Open, runs: list[str]
) -> None:
    axes = "axis=params.lr&axis=params.depth&axis=metrics.loss"
    page = open_page(f"{serve()}/compare?runs={','.join(runs)}&{axes}")
    _until(page, READY)
    box = _box(page, "parallel")
    box.get_by_text("Ranges").click()
    page.get_by_label("params.depth from").fill("3")
    page.keyboard.press("Tab")
    _until(page, "document.querySelectorAll('.mark-of-run.off').length === 3")
    assert "2 of 5 runs" in box.locator("[role=status]").inner_text()
    assert "keep=" in page.url
    again = open_page(page.url)
    _until(again, "document.querySelectorAll('.mark-of-run.off').length === 3")
    # A range by dragging along the axis of the loss, over its upper half.
    page.goto(page.url.partition("&keep")[0])
    _until(page, READY)
    strip = page.locator("rect.strip").nth(2)
    strip.scroll_into_view_if_needed()
    place = strip.bounding_box()
    x = place["x"] + place["width"] / 2
    page.mouse.move(x, place["y"] + 2)
    page.mouse.down()
    page.mouse.move(x, place["y"] + place["height"] * 0.6, steps=5)
    page.mouse.up()
    _until(page, "document.querySelectorAll('.mark-of-run.off').length === 2")
    assert "metrics.loss" in page.url


def test_curves_lie_over_each_other(serve: Serve, open_page: Open, runs: list[str]) -> None:
    page = open_page(f"{serve()}/compare?runs={','.join(runs)}")
    figure = page.locator("figure[data-key=val_loss]")
    figure.scroll_into_view_if_needed()
    _until(page, "document.querySelector('figure[data-key=val_loss]').dataset.drawn === '1'")
    assert "295 points" in figure.locator(".says").inner_text()
    figure.get_by_text("As a table").click()
    assert figure.locator("tbody tr").count() == 5
    assert "r4" in figure.locator("tbody").inner_text()


def test_a_going_run_grows_in_the_comparison(
    serve: Serve, open_page: Open, store: GitStore, runs: list[str], make_run: Make
) -> None:
    going = make_run("going", metrics={"val_loss": 3.0}, status="RUNNING")
    page = open_page(f"{serve()}/compare?runs={runs[0]},{going}")
    figure = page.locator("figure[data-key=val_loss]")
    figure.scroll_into_view_if_needed()
    says = "document.querySelector('figure[data-key=val_loss] .says').textContent"
    _until(page, f"{says}.includes('60 points')")
    store.runs.log_batch(going, [Metric("val_loss", 2.0, 1_700_000_001_000, 5)])
    _until(page, f"{says}.includes('61 points')")
    store.runs.finish(going, "FINISHED")


def test_branches_lead_to_their_diffs(
    serve: Serve, open_page: Open, make_run: Make, repo_dir: Path, git: Git
) -> None:
    make_run("baseline", metrics={"acc": 0.5})
    git(repo_dir, "checkout", "-q", "-b", "idea")
    git(repo_dir, "commit", "-q", "--allow-empty", "-m", "an idea")
    make_run("better", metrics={"acc": 0.9})
    page = open_page(f"{serve()}/branches")
    assert "▲ better +80.00%" in page.inner_text("table")
    page.get_by_role("link", name="idea", exact=True).click()
    page.wait_for_url("**/diff?base=main&head=idea")
    assert "Better; metrics: 1 better" in page.inner_text("main")
    page.get_by_label("what is equal too").check()
    page.wait_for_url("**all=1**")
    assert "base=main" in page.url


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_the_pages_are_accessible_and_fit(
    serve: Serve,
    open_page: Open,
    make_run: Make,
    runs: list[str],
    repo_dir: Path,
    git: Git,
    dark: bool,
    phone: bool,
) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    git(repo_dir, "checkout", "-q", "-b", "a-" + "long-" * 20)
    (repo_dir / "train.py").write_text("print('changed')\n" + "x = 1  # " + "long " * 60 + "\n")
    git(repo_dir, "commit", "-qam", "subject " * 30)
    odd = make_run(
        "o" * 120,
        metrics={"loss": float("nan"), "acc": float("inf"), "m" * 100: 1.0},
        params={"lr": "v " * 300, "model": "w" * 300},
        artifacts={"i.png": png, "t.txt": b"l " * 900},
    )
    named = ",".join([*runs, odd])
    pages = [f"/compare?runs={named}", f"/compare?runs={named}&all=1", f"/compare?runs={odd}"]
    pages += ["/compare", "/compare?runs=nothing", "/diff", f"/diff?a={runs[0]}&b={odd}&all=1"]
    pages += [f"/diff?a={runs[0]}&b={runs[1]}", "/diff?a=nothing&b=main"]
    pages += ["/branches", "/branches?q=nothing", f"/diff?base=main&head=a-{'long-' * 20}"]
    url = serve()
    page = open_page(url, dark=dark, phone=phone)
    for path in pages:
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        if page.locator("#charts").count():
            _until(page, READY)
        for details in page.locator("main details:not(.menu) > summary").all():
            details.evaluate("one => { one.parentElement.open = true }")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (path, wide, page.evaluate(WIDE))
        if AXE:
            check_with_axe(page, path)
    page.complaints.clear()  # of status 404, and of what only begins as an image
