"""The pages about models and data in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe import AXE, check_with_axe
from registered import register, registry

from mlgit.objects import Entry
from mlgit.registry.promotion import promote
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import Pointer, format_pointer

Open = Callable[..., Any]
Serve = Callable[..., str]
Make = Callable[..., str]
RULES = """\
format: 1
promotion:
  fraud: {production: {require: metrics.accuracy >= 0.9, better_than: production, metric: accuracy}}
"""


@pytest.fixture
def fraud(store: GitStore, make_run: Make, repo_dir: Path) -> GitStore:
    """A model of three versions, one in production, and rules."""
    for accuracy in (0.91, 0.95, 0.2):
        register(store, make_run, "fraud", accuracy)
    promote(registry(store), "fraud", 1, "production", reason="a beginning")
    promote(registry(store), "fraud", 1, "champion")
    promote(registry(store), "fraud", 2, "champion")
    (repo_dir / ".mlgit").mkdir(exist_ok=True)
    (repo_dir / ".mlgit" / "config.yaml").write_text(RULES)
    return store


def test_from_the_list_to_a_promotion_and_back(
    serve: Serve, open_page: Open, fraud: GitStore
) -> None:
    page = open_page(serve(allow_write=True))
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.get_by_role("link", name="fraud", exact=True).click()
    page.get_by_role("region", name="Versions").get_by_role("link", name="v2").click()
    page.fill("#to", "production")
    page.get_by_role("button", name="Look at the guards").click()
    assert page.locator(".guards").inner_text().count("✓ holds") == 2
    assert (
        "accuracy is 0.95, version 1 (Production) has 0.91" in page.locator(".guards").inner_text()
    )
    page.fill("#reason", "better, it is")
    page.get_by_label("Archive the versions").check()
    page.get_by_role("button", name="Promote").click()
    page.wait_for_url("**/models/fraud#tag-*")
    assert page.get_by_role("status").first.inner_text() == "v2 is in Production now"
    assert "better, it is" in page.locator("tr:target").inner_text()
    page.get_by_role("link", name="Roll back to v1").first.click()
    page.fill("#reason", "or not")
    page.get_by_role("button", name="Roll back").click()
    page.wait_for_url("**/models/fraud#tag-*")
    assert registry(fraud).version("fraud", 1).current_stage == "Production"
    page.get_by_role("link", name="Remove").first.click()
    page.get_by_role("button", name="Demote").click()
    page.wait_for_url("**/models/fraud#tag-*")
    assert "champion" not in registry(fraud).model("fraud").aliases


def test_a_refused_promotion_cannot_be_confirmed(
    serve: Serve, open_page: Open, fraud: GitStore
) -> None:
    page = open_page(f"{serve(allow_write=True)}/models/fraud/versions/3/promote?to=production")
    assert "2 of 2 guards failed" in page.get_by_role("alert").inner_text()
    assert page.locator("tr.failed").count() == 2
    assert page.get_by_role("button", name="Promote").count() == 0


def test_where_it_only_reads_the_command_is_copied(
    serve: Serve, open_page: Open, fraud: GitStore
) -> None:
    page = open_page(f"{serve()}/models/fraud/versions/2/promote?to=production")
    page.get_by_role("button", name="Copy").click()
    page.wait_for_selector("button:has-text('Copied')")
    said = page.evaluate("navigator.clipboard.readText()")
    assert said.startswith("mlgit promote fraud@2 --to Production")


def test_the_list_is_searched_and_sorted(serve: Serve, open_page: Open, fraud: GitStore) -> None:
    registry(fraud).create_model("other")
    page = open_page(f"{serve()}/models")
    page.get_by_role("link", name="Model", exact=True).click()
    rows = page.locator("tbody th a")
    assert rows.all_inner_texts() == ["fraud", "other"]
    page.get_by_role("link", name="Model").last.click()
    assert rows.all_inner_texts() == ["other", "fraud"]
    page.keyboard.press("/")
    page.keyboard.type("aud")
    page.keyboard.press("Enter")
    page.wait_for_url("**filter=aud**")
    assert rows.all_inner_texts() == ["fraud"] and "sort=-name" in page.url


def test_a_model_is_tried(
    serve: Serve, open_page: Open, store: GitStore, make_run: Make, tmp_path: Path
) -> None:
    pytest.importorskip("pandas")
    cloudpickle = pytest.importorskip("cloudpickle")
    import sys

    import mlgit

    class Doubles(mlgit.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return [2 * number for number in model_input["n"]]

    import pandas as pd

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    example = pd.DataFrame({"n": [1.0, 2.5]})
    mlgit.pyfunc.save_model(tmp_path / "m", python_model=Doubles(), input_example=example)
    run = make_run("one")
    store.log_artifacts(run, str(tmp_path / "m"), "model")
    registry(store).create_model("m")
    registry(store).create_version("m", f"runs:/{run}/model", run)
    page = open_page(f"{serve(allow_write=True)}/models/m/versions/1")
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#output")
    assert re.search(r"2\.0,\s*5\.0", page.inner_text("#output"))


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_every_page_about_models_and_data_is_accessible_and_fits(
    serve: Serve,
    open_page: Open,
    fraud: GitStore,
    make_run: Make,
    repo_dir: Path,
    git: Callable[..., str],
    dark: bool,
    phone: bool,
) -> None:
    long = "a very long name " + "x" * 100
    register(fraud, make_run, long, 0.5, description="word " * 60, tags={"k": "v" * 300})
    promote(registry(fraud), long, 1, "production", reason="why " * 100)
    git(repo_dir, "tag", "long@v9.0.0", "HEAD")
    pointer = Pointer(
        "y" * 120, Entry("f", "ab" * 32, 7), {"url": "https://x.example/" + "z" * 200}
    )
    (repo_dir / f"{pointer.path}.mlgit").write_bytes(format_pointer(pointer))
    git(repo_dir, "remote", "add", "origin", "https://example.com/" + "r" * 150)
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "data")
    url = serve(allow_write=True)
    here = "/models/" + long.replace(" ", "%20")
    pages = ["/models", "/models?filter=x%3D", "/models/fraud", here, f"{here}/versions/1"]
    pages += ["/models/fraud/versions/2", "/models/fraud/versions/3/promote?to=production"]
    pages += [f"{here}/versions/1/try", f"{here}/versions/1/demote?target=production"]
    pages += ["/models/fraud/versions/2/promote?to=" + "a" * 100]
    pages += ["/models/fraud/rollback?target=champion", "/models/nothing", "/data", "/data/space"]
    page = open_page(url, dark=dark, phone=phone)
    for path in pages:
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} pixels too wide"
        if AXE:
            check_with_axe(page, path)
    page.complaints.clear()  # of status 404 and 400
