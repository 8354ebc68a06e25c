"""The pages about registered models: the list, a model, a version of it."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hostile import PAYLOADS, check, walk
from registered import register, registry
from signers import SshKeys

from mlgit.objects import Entry
from mlgit.registry.promotion import demote, promote
from mlgit.server.app import create_app
from mlgit.server.registered import ModelName
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import Pointer, format_pointer

Make = Callable[..., str]
Git = Callable[..., str]


def names(page: str) -> list[str]:
    """The models of a list, from top to bottom."""
    return re.findall(r'<th scope="row"><a href="/models/[^"]+">([^<]+)</a>', page)


def cells(page: str, label: str) -> list[list[str]]:
    """The texts of a table's cells, row by row."""
    table = page.partition(f'aria-label="{label}"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.S)
    found = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
    return [
        [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in row]
        for row in found
    ]


# -- the list


def test_two_versions_are_compared(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    for accuracy in (0.5, 0.75):
        assert "What differs" not in client.get("/models/fraud%20x").text
        register(store, make_run, "fraud x", accuracy)
    page = client.get("/models/fraud%20x").text
    fields = dict(re.findall(r'<select name="([ab])">.*?value="([^"]+)" selected', page, re.S))
    assert fields == {"a": "models:/fraud x/1", "b": "models:/fraud x/2"}
    diff = client.get("/diff", query_string=fields).text
    assert "0.5" in diff and "0.75" in diff


def test_a_version_is_compared_with_who_is_in_production(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    for accuracy in (0.5, 0.75):
        register(store, make_run, "50% @home", accuracy)
    promote(registry(store), "50% @home", 1, "production")
    page = client.get("/models/50%25%20@home/versions/2").text
    (link,) = re.findall(r'href="([^"]+)">Compare with Production \(v1\)', page)
    diff = client.get(html.unescape(link)).text
    assert "0.5" in diff and "0.75" in diff
    assert "Compare with" not in client.get("/models/50%25%20@home/versions/1").text


def test_an_empty_registry_says_how_to_begin(client: FlaskClient) -> None:
    answer = client.get("/models")
    assert answer.status_code == 200
    assert "No models yet" in answer.text and "mlgit models register" in answer.text


def test_who_holds_what_is_in_the_list(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    for accuracy in (0.9, 0.91, 0.92):
        register(store, make_run, "fraud", accuracy)
    registry(store).create_model("bare", {"team": "risk"}, "Not yet")
    promote(registry(store), "fraud", 2, "production")
    promote(registry(store), "fraud", 3, "staging")
    promote(registry(store), "fraud", 2, "champion")
    head, *rows = cells(client.get("/models?sort=name").text, "Models")
    assert [title.rstrip("▲▼ ") for title in head] == [
        "Model", "Latest", "Production", "Staging", "Aliases", "Last change", "Tags",
    ]  # fmt: skip
    assert rows[0][:2] == ["bare Not yet", "–"] and rows[0][-1] == "team: risk"
    assert rows[1][:5] == ["fraud", "v3 of 3", "v2", "v3", "champion → v2"]
    assert "by Ada" in rows[1][5] and "champion: v2" in rows[1][5]


def test_the_list_is_searched_sorted_and_paged_by_its_address(
    client: FlaskClient, store: GitStore
) -> None:
    for n in range(53):
        registry(store).create_model(f"m{n:02}", {"team": "ab"[n % 2]})
    page = client.get("/models?sort=name").text
    assert names(page) == [f"m{n:02}" for n in range(50)] and 'aria-sort="ascending"' in page
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    assert names(client.get(html.unescape(following[1])).text) == ["m50", "m51", "m52"]
    assert names(client.get("/models?sort=-name").text)[0] == "m52"
    assert names(client.get("/models?filter=M5&sort=name").text) == ["m50", "m51", "m52"]
    found = client.get("/models", query_string={"filter": "tags.team = 'b' and name LIKE 'm5%'"})
    assert names(found.text) == ["m51"]
    assert "No model matches" in client.get("/models?filter=nothing").text
    assert "no more models" in client.get("/models?page=9").text
    assert len(names(client.get("/models?page=x&sort=nothing").text)) == 50


def test_a_filter_that_does_not_parse_is_explained_at_the_box(
    client: FlaskClient, store: GitStore
) -> None:
    registry(store).create_model("m")
    answer = client.get("/models", query_string={"filter": "nam = 'x'"})
    assert answer.status_code == 400 and 'aria-describedby="filter-problem"' in answer.text
    assert "did you mean name?" in answer.text


# -- a model


def test_a_models_page_tells_its_versions_and_history(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    models = registry(store)
    register(store, make_run, "fraud", 0.9, description="the first")
    register(store, make_run, "fraud", 0.95, tags={"validated": "yes"})
    models.update_model("fraud", "Tells payments apart.\nWeekly.")
    promote(models, "fraud", 1, "production", reason="a beginning")
    promote(models, "fraud", 2, "production", archive_existing=True, reason="better")
    page = client.get("/models/fraud").text
    assert "Tells payments apart.\nWeekly." in page
    _, *held = cells(page, "Stages and aliases")
    assert held[0][:2] == ["Production", "v2"] and held[0][4:6] == ["v1", "better"]
    assert held[0][6] == "Roll back to v1 Take out" and held[1][:2] == ["Archived", "v1"]
    _, *versions = cells(page, "Versions")
    assert [row[0] for row in versions] == ["v2", "v1 the first"]
    assert versions[0][1] == "Production" and versions[0][3] == "run of 0.95"
    assert versions[0][4] == "2 columns → long (1 param)" and versions[0][9] == "validated: yes"
    assert versions[0][6] == "Ada" and versions[0][8] == "not signed"
    _, *history = cells(page, "History")
    told = [row[2] for row in history]
    assert told[-2:] == ["v2 registered", "v1 registered"]  # both before anything was promoted
    assert "Production: v1 → v2" in told and "Archived: v1" in told
    texts = client.get("/models/fraud?texts=1").text
    assert "Describe fraud" in texts and "Describe fraud" not in page


def test_versions_and_history_are_paged(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    run = make_run("one")
    registry(store).create_model("m")
    for _ in range(60):
        registry(store).create_version("m", f"s3://bucket/{run}")
    page = client.get("/models/m").text
    _, *versions = cells(page, "Versions")
    assert [row[0] for row in versions] == [f"v{n}" for n in range(60, 35, -1)]
    assert len(cells(page, "History")) == 51 and "10 older" in page
    assert len(cells(client.get("/models/m?history=all").text, "History")) == 61
    _, *last = cells(client.get("/models/m?page=3").text, "Versions")
    assert [row[0] for row in last] == [f"v{n}" for n in range(10, 0, -1)]
    assert "There are no more versions" in client.get("/models/m?page=9").text


@pytest.mark.parametrize(
    "path",
    [
        "/models/nothing",
        "/models/m/versions/9",
        "/models/m/versions/x",
        "/models/nothing/versions/1",
    ]
    + ["/models/m/versions/" + "9" * 5000, "/models/m/versions/-1", "/models/m/versions/1e3"]
    + ["/models/%00", "/models/..%2f..%2fetc", "/models/m/versions/..%2f1"],
)
def test_what_is_not_there_is_said(
    client: FlaskClient, store: GitStore, make_run: Make, path: str
) -> None:
    register(store, make_run, "m")
    answer = client.get(path)
    assert answer.status_code == 404
    if "there is no such page" not in answer.text.lower():
        assert "What to do:" in answer.text
    for more in ("/promote?to=production", "/demote?target=production", "/try"):
        assert client.get(path + more).status_code == 404


def test_a_deleted_model_has_its_history_still(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "gone")
    registry(store).delete_model("gone", "a trial")
    answer = client.get("/models/gone")
    assert answer.status_code == 200
    assert [row[2] for row in cells(answer.text, "History")[1:]] == ["v1 deleted", "v1 registered"]
    assert "a trial" in answer.text and "was deleted" in answer.text
    assert "gone" not in names(client.get("/models").text)


@pytest.mark.parametrize(
    "name", ["a b", "50%", "%2F", "ünï ✓", "a%20b", "it's", "both '\"", "...", "a#b", "a?b=c", "+"]
)
def test_every_name_has_an_address(
    client: FlaskClient, store: GitStore, make_run: Make, name: str
) -> None:
    register(store, make_run, name)
    page = client.get("/models").text
    link = re.search(r'<th scope="row"><a href="(/models/[^"]+)">', page)
    assert link
    answer = client.get(html.unescape(link[1]))
    assert answer.status_code == 200 and len(cells(answer.text, "Versions")) == 2
    version = re.search(r'<th scope="row"><a href="(/models/[^"]+/versions/1)">', answer.text)
    assert version and client.get(html.unescape(version[1])).status_code == 200


def test_names_that_gto_makes_with_slashes_have_addresses(
    client: FlaskClient, make_run: Make, git: Git, repo_dir: Path
) -> None:
    make_run("one")
    git(repo_dir, "tag", "-a", "-m", "x", "team/fraud@v1.0.0", "HEAD")
    link = re.search(r'<a href="(/models/team[^"]+)">', client.get("/models").text)
    assert link and link[1].count("/") == 2
    answer = client.get(link[1])
    assert answer.status_code == 200 and "team/fraud" in answer.text
    assert client.get(f"{link[1]}/versions/1").status_code == 200


@pytest.mark.parametrize("name", [".", "..", "a/b", "%", "%2e", "a%2Fb", "\ud800", "é"])
def test_an_address_stands_for_one_name(name: str) -> None:
    converter = ModelName(None)  # type: ignore[arg-type]
    part = converter.to_url(name)
    assert "/" not in part and part.strip(".")
    if name != "\ud800":
        from urllib.parse import unquote

        assert converter.to_python(unquote(part)) == name


def test_tags_made_by_hand_and_malformed_take_no_page_down(
    client: FlaskClient, store: GitStore, make_run: Make, git: Git, repo_dir: Path
) -> None:
    register(store, make_run, "m")
    promote(registry(store), "m", 1, "production")
    commit = git(repo_dir, "rev-parse", "m@v1.0.0^{commit}")
    git(repo_dir, "tag", "m@v2.0.0", "HEAD")  # lightweight
    git(repo_dir, "tag", "-a", "-m", "x", "m@v3.0.0", "HEAD^{tree}")
    git(repo_dir, "tag", "-a", "-m", "x", "m#production#90", "HEAD")  # a foreign commit
    git(repo_dir, "tag", "-a", "-m", "no: [yaml", "m#champion#91", commit)
    guards = "format: 1\nevent: assign\nmodel: m\nversion: 1\nalias: odd\nreason: [1, 2]\n"
    guards += "guards: [1, {guard: x, asks: {a: b}, figures: 7}, {figures: {v: [1]}}, text]\n"
    git(repo_dir, "tag", "-a", "-m", guards, "m#odd#92", commit)
    for path in ("/models", "/models/m", "/models/m/versions/1", "/models/m?history=all"):
        assert client.get(path).status_code == 200, path
    assert "2 tags left out" in client.get("/models").text or "3 tags" in client.get("/models").text
    left_out = cells(client.get("/models/m").text, "Tags that were left out")
    assert any("m@v2.0.0" in row[0] and "lightweight" in row[1] for row in left_out)
    assert client.get("/models/m/versions/2").status_code == 404


# -- a version


def test_a_versions_page_tells_what_it_is_and_where_it_comes_from(
    client: FlaskClient, store: GitStore, make_run: Make, repo_dir: Path, git: Git
) -> None:
    pointer = Pointer("data.csv", Entry("f", "ab" * 32, 7))
    (repo_dir / "data.csv.mlgit").write_bytes(format_pointer(pointer))
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "data")
    code = git(repo_dir, "rev-parse", "HEAD")
    register(store, make_run, "fraud", 0.9, description="the first")
    promote(registry(store), "fraud", 1, "champion")
    page = client.get("/models/fraud/versions/1").text
    assert cells(page, "Metrics")[1:] == [["accuracy", "0.9"]]
    rows = cells(page, "Lineage")
    assert ["run", "run of 0.9"] in [row[:2] for row in rows]
    assert ["code", "as it was committed", f"{code} as it ran"] in rows
    assert ["data", "data.csv", "ab" * 32] in rows
    svg = page.partition("<svg")[2].partition("</svg>")[0]
    for text in ("data.csv", code[:10], "run of 0.9", "fraud v1", "champion"):
        assert f">{text}</text>" in svg, text
    assert svg.count('class="line"') == 4
    assert [row[:2] for row in cells(page, "Inputs")[1:]] == [
        ["amount", "double"],
        ["hour", "long"],
    ]
    assert cells(page, "Params")[1] == ["by", "double", "default 2.0"]
    assert "scikit-learn==1.9.1\nnumpy" in page and "invented" in page
    files = cells(page, "Files")
    assert ["model.bin", "3 B"] in [row[:2] for row in files] and len(files) == 6
    assert "not signed" in page and "[[1.5, 2], [3.0, 4]]" in html.unescape(page)
    assert "models:/fraud/1" in html.unescape(page)


def test_of_many_metrics_a_version_shows_some_and_where_all_are(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    metrics = {f"m{n:02}": float(n) for n in range(23)}
    metrics |= {"system/cpu": 1.0, "a/nan": float("nan")}
    run = make_run("many", metrics=metrics, artifacts={"model/MLmodel": b"flavors: {}\n"})
    registry(store).create_model("fraud")
    registry(store).create_version("fraud", f"runs:/{run}/model", run)
    page = client.get("/models/fraud/versions/1").text
    shown = cells(page, "Metrics")[1:]
    assert len(shown) == 20 and shown[:2] == [["a/nan", "nan"], ["m00", "0"]]
    assert f'and 4 more: <a href="/runs/{run}">' in page and "system/cpu" not in page


def test_a_version_shows_the_files_that_it_was_registered_with(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "m")
    run = registry(store).version("m", 1).run_id
    assert run
    store.log_bytes(run, b"later", "model/later.bin")
    assert "later.bin" not in client.get("/models/m/versions/1").text
    assert "later.bin" in str(store.artifact(run, "model"))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_that_a_tag_names_outside_of_runs_is_not_read(
    client: FlaskClient, store: GitStore, outside: Path, scheme: str
) -> None:
    (outside.parent / "MLmodel").write_text("flavors: {}\n")
    registry(store).create_model("m")
    registry(store).create_version("m", f"{scheme}{outside.parent}")
    for path in ("/models/m/versions/1", "/models/m/versions/1/try", "/models/m"):
        page = client.get(path)
        assert page.status_code == 200 and "secret.txt" not in page.text
    assert "mlgit models show" in client.get("/models/m/versions/1").text


def test_credentials_in_a_source_are_not_shown(
    client: FlaskClient, store: GitStore, git: Git, repo_dir: Path, make_run: Make
) -> None:
    register(store, make_run, "m")
    commit = git(repo_dir, "rev-parse", "HEAD")
    message = "format: 1\nevent: register\nmodel: m\nversion: 2\n"
    message += (
        "source: https://ada:hunter2@example.com/m\nrun_link: https://b:hunter2@example.com\n"
    )
    git(repo_dir, "tag", "-a", "-m", message, "m@v2.0.0", commit)
    page = client.get("/models/m/versions/2").text
    assert "example.com/m" in page and "hunter2" not in page
    assert "hunter2" not in client.get("/models/m?history=all").text


def test_files_that_are_not_here_are_said_and_not_fetched(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "m")
    run = registry(store).version("m", 1).run_id
    assert run
    entry = store.artifact(run, "model/model.bin")
    sha = entry.sha256  # type: ignore[union-attr]
    (Path(store.repo.state_dir) / "objects" / "sha256" / sha[:2] / sha[2:]).unlink()
    page = client.get("/models/m/versions/1").text
    assert "in this clone" in page and f"mlgit artifacts download {run} model" in page


def test_a_run_that_is_gone_leaves_the_version_standing(
    client: FlaskClient, store: GitStore, make_run: Make, git: Git, repo_dir: Path
) -> None:
    register(store, make_run, "m")
    run = registry(store).version("m", 1).run_id
    git(repo_dir, "update-ref", "-d", f"refs/mlgit/runs/0/{run}")
    page = client.get("/models/m/versions/1")
    assert page.status_code == 200 and "not in this clone" in page.text
    assert client.get("/models/m").status_code == 200


# -- stored markup


def test_stored_markup_is_text_on_the_pages_of_models(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    models = registry(store)
    for n, payload in enumerate(PAYLOADS):
        name = re.sub(r"[/:\u202a-\u2069]", "_", payload)
        register(store, make_run, name, n / 100, description=payload, tags={"k": payload})
        models.update_model(name, payload)
        models.set_model_tag(name, "k", payload)
        promote(models, name, 1, "production", reason=payload)
        promote(models, name, 1, f"alias{n}", reason=payload)
        demote(models, name, 1, f"alias{n}", reason=payload)
    assert walk(client, "/models") > 3 * len(PAYLOADS)
    for payload in PAYLOADS:
        for field in ("filter", "sort", "page"):
            check(client.get("/models", query_string={field: payload}).text, payload)
        part = quote(payload, safe="")
        check(client.get(f"/models/{part}").text, payload)
        check(client.get(f"/models/{part}/versions/{part}").text, payload)


# -- signatures


def test_whose_signatures_vouch_for_a_version_is_told(
    store: GitStore,
    make_run: Make,
    ssh_keys: SshKeys,
    repo_dir: Path,
    fresh: Callable[[Path], GitStore],
) -> None:
    ssh_keys.use(repo_dir, ssh_keys.folder / "ada")
    register(store, make_run, "m")
    promote(registry(fresh(repo_dir)), "m", 1, "champion", sign=True)
    ssh_keys.use(repo_dir, ssh_keys.make("eve"))
    promote(registry(fresh(repo_dir)), "m", 1, "shadow", sign=True)
    promote(registry(fresh(repo_dir)), "m", 1, "plain")
    page = create_app(fresh(repo_dir)).test_client().get("/models/m/versions/1").text
    told = re.findall(r"<li>\s*<span class=\"(\w+)\">(.*?)</span>.*?<code>(.*?)</code>", page, re.S)
    by_tag = {tag: (tone, html.unescape(text).strip()) for tone, text, tag in told}
    assert by_tag["m@v1.0.0"] == by_tag["m#plain#3"] == ("faint", "not signed")
    assert by_tag["m#champion#1"] == ("good", "✓ signed by ada@example.com")
    assert by_tag["m#shadow#2"][0] == "bad" and "doesn't count" in by_tag["m#shadow#2"][1]


# -- meanwhile


def test_pages_hold_while_the_registry_changes(
    client: FlaskClient,
    make_run: Make,
    store: GitStore,
    repo_dir: Path,
    fresh: Callable[[Path], GitStore],
    git: Git,
) -> None:
    register(store, make_run, "m")
    register(store, make_run, "m")
    paths = ["/models", "/models/m", "/models/m/versions/1", "/models/m/versions/2", "/data"]
    paths += ["/models/m/versions/2/promote?to=production", "/models?filter=m&sort=name"]
    done, bad = threading.Event(), []
    asked = [0]

    def read() -> None:
        own = client.application.test_client()
        while not done.is_set():
            for path in paths:
                answer = own.get(path)
                asked[0] += 1
                if answer.status_code != 200:
                    bad.append((path, answer.status_code, answer.text))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    other = registry(fresh(repo_dir))
    try:
        for n in range(8):
            promote(other, "m", n % 2 + 1, "production", archive_existing=True)
            other.create_model(f"new{n}")
            if n == 3:
                git(repo_dir, "pack-refs", "--all")
            if n > 3:
                other.delete_model(f"new{n - 1}")
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not bad and asked[0] > len(paths)
