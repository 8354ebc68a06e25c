"""Promoting, demoting and rolling back in the browser: what is shown, asked, written and refused."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from registered import FILES, register, registry

from mlgit.registry.promotion import promote
from mlgit.store.gitstore import GitStore

Make = Callable[..., str]
Open = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]
Git = Callable[..., str]
OURS = {"Origin": "http://localhost"}
RULES = """\
format: 1
promotion:
  fraud:
    production:
      require: metrics.accuracy >= 0.9
      better_than: production
      metric: accuracy
"""
FORMS = {
    "versions/2/promote": {"to": "production", "previous": "1", "version": "2"},
    "versions/1/demote": {"target": "production"},
    "rollback": {"target": "champion", "previous": "2", "version": "1"},
    "versions/2/try": {"type": "json", "input": "{}"},
}
# Texts: their forms are on the pages that they are about.
TEXTS = {
    "note": {"note": "**new**"},
    "tags": {"key": "team", "value": "vision"},
    "versions/2/note": {"note": "**new**"},
    "versions/2/tags": {"key": "team", "value": "vision"},
}
WRITES = {**FORMS, **TEXTS}


@pytest.fixture
def tags(git: Git, repo_dir: Path) -> Callable[[], list[str]]:
    """The repository's tags as Git lists them."""
    return lambda: git(repo_dir, "tag", "--sort=taggerdate").split("\n")


@pytest.fixture
def refs(git: Git, repo_dir: Path) -> Callable[[], str]:
    """All refs and what they name: tags, and the texts of models."""
    return lambda: git(repo_dir, "for-each-ref")


@pytest.fixture
def fraud(store: GitStore, make_run: Make) -> GitStore:
    """Two versions, of which the first is in production and was the champion."""
    register(store, make_run, "fraud", 0.91)
    register(store, make_run, "fraud", 0.95)
    promote(registry(store), "fraud", 1, "production")
    promote(registry(store), "fraud", 1, "champion")
    promote(registry(store), "fraud", 2, "champion")
    return store


def rules(store: GitStore, text: str = RULES) -> None:
    """The team's rules."""
    folder = Path(str(store.repo.worktree)) / ".mlgit"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text)


def guards(page: str) -> list[list[str]]:
    """(whether it holds, what is asked, what was found) of each guard."""
    table = page.partition('aria-label="Guards"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.S)[1:]
    found = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
    return [
        [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in row]
        for row in found
    ]


# -- attacks


def test_every_write_is_known_to_these_tests(client: FlaskClient) -> None:
    found = {
        rule.rule
        for rule in client.application.url_map.iter_rules()
        if rule.methods - {"GET", "HEAD", "OPTIONS"} and rule.rule.startswith("/models/")
    }
    shapes = {f"/models/<model:name>/{re.sub('[12]', '<number>', form)}" for form in WRITES}
    assert found == shapes


@pytest.mark.parametrize("form", WRITES)
def test_nothing_is_written_unless_it_was_allowed(
    open_app: Open, csrf: Csrf, fraud: GitStore, refs: Callable[[], str], form: str
) -> None:
    before, client = refs(), open_app()
    data = {**WRITES[form], "csrf": csrf(client)}
    answer = client.post(f"/models/fraud/{form}", data=data, headers=OURS)
    assert answer.status_code == 403 and "only reads" in answer.text
    assert refs() == before


@pytest.mark.parametrize("form", WRITES)
def test_csrf_from_another_site_changes_nothing(
    open_app: Open, csrf: Csrf, fraud: GitStore, refs: Callable[[], str], form: str
) -> None:
    before, client = refs(), open_app(allow_write=True)
    token = csrf(client)
    for more, headers in (
        ({"csrf": token}, {"Origin": "http://evil.example"}),
        ({"csrf": token}, {"Origin": "null"}),
        ({"csrf": token}, {}),
        ({"csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": token + "x"}, OURS),
        ({}, OURS),
    ):
        answer = client.post(
            f"/models/fraud/{form}", data={**WRITES[form], **more}, headers=headers
        )
        assert answer.status_code in (400, 403), (more, headers)
    assert refs() == before


@pytest.mark.parametrize("form", FORMS)
def test_a_get_that_looks_like_the_form_writes_nothing(
    open_app: Open, csrf: Csrf, fraud: GitStore, tags: Callable[[], list[str]], form: str
) -> None:
    before, client = tags(), open_app(allow_write=True)
    asked = {**FORMS[form], "csrf": csrf(client), "reason": "x"}
    assert client.get(f"/models/fraud/{form}", query_string=asked, headers=OURS).status_code == 200
    assert client.head(f"/models/fraud/{form}", query_string=asked).status_code == 200
    assert tags() == before


@pytest.mark.parametrize("path", ["", "versions/2/"])
def test_models_and_versions_are_described_and_tagged(
    open_app: Open, csrf: Csrf, fraud: GitStore, path: str
) -> None:
    client = open_app(allow_write=True)
    token = csrf(client)

    def write(what: str, status: int = 303, **data: str) -> str:
        address = f"/models/fraud/{path}{what}"
        assert client.get(address).status_code == 405
        answer = client.post(address, data={"csrf": token, **data}, headers=OURS)
        assert answer.status_code == status, answer.text
        return client.get(answer.location).text if status == 303 else answer.text

    page = write("note", note="**why**\r\nso")
    assert "<strong>why</strong>" in page and "**why**\nso</textarea>" in page
    assert "team: vision" in write("tags", key="team", value="vision")
    assert "team: vision" not in write("tags", key="team")
    write("tags", 400, value="no name")
    assert "</textarea>" not in open_app().get(f"/models/fraud/{path}".rstrip("/")).text
    assert client.post("/models/none/note", data={"csrf": token}, headers=OURS).status_code == 404


def test_a_runs_model_is_registered(
    open_app: Open, csrf: Csrf, fraud: GitStore, make_run: Make
) -> None:
    made = {"artifact_path": "model", "flavors": {"python_function": {}}, "run_id": "x"}
    history = {"mlflow.log-model.history": json.dumps([made])}
    run = make_run("with model", tags=history, artifacts=FILES)
    client = open_app(allow_write=True)
    page = client.get(f"/runs/{run}").text
    assert f'action="/runs/{run}/register"' in page
    assert "/register" not in open_app().get(f"/runs/{run}").text

    def send_form(**data: str) -> Any:
        data["csrf"] = csrf(client)
        return client.post(f"/runs/{run}/register", data=data, headers=OURS)

    assert send_form(path="model", name="fraud").location == "/models/fraud/versions/3"
    assert send_form(path="model", name="new one").location == "/models/new%20one/versions/1"
    assert registry(fraud).version("fraud", 3).run_id == run
    page = client.get(f"/runs/{run}").text
    assert 'href="/models/fraud/versions/3"' in page and "new one v1</a>" in page
    assert 'aria-current="page">Runs' in page
    assert ">model</td>" in client.get("/runs?column=models").text
    for path, name, status in (("model", "", 400), ("other", "fraud", 404), ("", "fraud", 404)):
        assert send_form(path=path, name=name).status_code == status, (path, name)
    assert not registry(fraud).has("other")


# -- promoting


def send(client: FlaskClient, path: str, **more: str) -> object:
    """Open a page, and send its form as it is, with some fields filled in."""
    page = client.get(path).text
    form = page.partition('<form method="post"')[2].partition("</form>")[0]
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)
    data = {name: html.unescape(value) for name, value in fields}
    assert data.get("csrf"), page
    return client.post(path.partition("?")[0], data={**data, **more}, headers=OURS)


def test_guards_are_shown_with_their_figures_before_anything_is_written(
    open_app: Open, fraud: GitStore, tags: Callable[[], list[str]]
) -> None:
    rules(fraud)
    before = tags()
    page = open_app(allow_write=True).get("/models/fraud/versions/2/promote?to=Production").text
    assert guards(page) == [
        ["✓ holds", "require metrics.accuracy >= 0.9", "metrics.accuracy is 0.95"],
        [
            "✓ holds",
            "better than production by accuracy",
            "accuracy is 0.95, version 1 (Production) has 0.91",
        ],
    ]
    assert "You act as Ada &lt;ada@example.com&gt;" in page
    assert tags() == before


def test_a_promotion_is_written_with_who_why_and_what_was_checked(
    open_app: Open, fraud: GitStore, tags: Callable[[], list[str]], git: Git, repo_dir: Path
) -> None:
    rules(fraud)
    before = set(tags())
    client = open_app(allow_write=True)
    path = "/models/fraud/versions/2/promote?to=production"
    answer = send(client, path, reason="better on <b>new</b> data", archive="1")
    assert answer.status_code == 303  # type: ignore[attr-defined]
    new = sorted(set(tags()) - before)
    assert [tag.rpartition("#")[0] for tag in new] == [
        "fraud#archived", "fraud#production!", "fraud#production",
    ]  # fmt: skip
    assert new[2] in answer.location  # type: ignore[attr-defined]
    message = git(repo_dir, "tag", "-l", "--format=%(taggeremail)%(contents)", new[2])
    assert message.startswith("<ada@example.com>")
    assert "better on <b>new</b> data" in message and "better_than" in message
    page = client.get("/models/fraud").text
    assert "v2 is in Production now" in page
    assert "better on &lt;b&gt;new&lt;/b&gt; data" in page
    assert "v2 is in Production now" not in client.get("/models/fraud").text
    assert registry(fraud).version("fraud", 1).current_stage == "Archived"


def test_a_refused_promotion_says_which_guard_failed(
    open_app: Open, csrf: Csrf, fraud: GitStore, make_run: Make, tags: Callable[[], list[str]]
) -> None:
    rules(fraud)
    register(fraud, make_run, "fraud", 0.5)
    before, client = tags(), open_app(allow_write=True)
    page = client.get("/models/fraud/versions/3/promote?to=production")
    assert page.status_code == 200 and "2 of 2 guards failed" in page.text
    assert [row[0] for row in guards(page.text)] == ["✗ fails", "✗ fails"]
    assert "0.5, needs" in guards(page.text)[0][2] and '<form method="post"' not in page.text
    data = {"csrf": csrf(client), "to": "production", "previous": "1", "version": "3"}
    answer = client.post("/models/fraud/versions/3/promote", data=data, headers=OURS)
    assert answer.status_code == 409 and "Nothing was written" in answer.text
    assert tags() == before


def test_tests_of_the_rules_run_when_it_is_confirmed_and_not_before(
    open_app: Open, fraud: GitStore, tags: Callable[[], list[str]], repo_dir: Path
) -> None:
    test = "echo looked at v$MLGIT_MODEL_VERSION; touch ran; false"
    rules(fraud, f"format: 1\npromotion:\n  fraud:\n    shadow:\n      tests: '{test}'\n")
    before, client = tags(), open_app(allow_write=True)
    path = "/models/fraud/versions/2/promote?to=shadow"
    assert guards(client.get(path).text)[0][0] == "– later"
    assert not (repo_dir / "ran").exists()
    answer = send(client, path)
    assert answer.status_code == 409  # type: ignore[attr-defined]
    assert "looked at v2" in answer.text and "exit status 1" in answer.text  # type: ignore[attr-defined]
    assert (repo_dir / "ran").exists() and tags() == before


def test_rules_that_cannot_be_read_promote_nothing(
    open_app: Open, csrf: Csrf, fraud: GitStore, tags: Callable[[], list[str]]
) -> None:
    before, client = tags(), open_app(allow_write=True)
    rules(fraud, "format: 1\npromotion: {fraud: {production: {requires: x}}}\n")
    data = {**FORMS["versions/2/promote"], "csrf": csrf(client)}
    assert client.get("/models/fraud/versions/2").status_code == 200
    for answer in (
        client.get("/models/fraud/versions/2/promote?to=production"),
        client.post("/models/fraud/versions/2/promote", data=data, headers=OURS),
    ):
        assert answer.status_code == 500 and "did you mean" in answer.text
    assert tags() == before


@pytest.mark.parametrize("form", ["versions/2/promote", "rollback"])
def test_what_changed_since_it_was_shown_is_shown_again(
    open_app: Open, fraud: GitStore, tags: Callable[[], list[str]], make_run: Make, form: str
) -> None:
    client = open_app(allow_write=True)
    what = "to=production" if "promote" in form else "target=champion"
    path = f"/models/fraud/{form}"
    fields = dict(FORMS[form])
    page = client.get(f"{path}?{what}").text
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token
    register(fraud, make_run, "fraud", 0.97)
    promote(registry(fraud), "fraud", 3, what.partition("=")[2])
    before = tags()
    answer = client.post(path, data={**fields, "csrf": token[1]}, headers=OURS)
    assert answer.status_code == 409 and "Meanwhile somebody changed" in answer.text
    assert tags() == before


def test_what_already_holds_is_said(open_app: Open, fraud: GitStore) -> None:
    page = open_app(allow_write=True).get("/models/fraud/versions/1/promote?to=production").text
    assert "already so" in page


@pytest.mark.parametrize("to", ["", "latest", "v3", "None", "a b", "<script>", "x" * 300])
def test_what_can_be_no_stage_and_no_alias_is_refused(
    open_app: Open, fraud: GitStore, to: str
) -> None:
    answer = open_app(allow_write=True).get(
        "/models/fraud/versions/1/promote", query_string={"to": to}
    )
    assert answer.status_code == 400


def test_where_it_only_reads_the_command_is_shown(client: FlaskClient, fraud: GitStore) -> None:
    for path, command in (
        ("versions/2/promote?to=production", "mlgit promote fraud@2 --to Production"),
        ("versions/1/demote?target=production", "mlgit demote fraud@1 --from Production"),
        ("rollback?target=champion", "mlgit rollback fraud champion"),
    ):
        page = client.get(f"/models/fraud/{path}").text
        assert f"<code>{command} --reason " in page and '<form method="post"' not in page, path


def test_the_command_is_quoted_for_a_shell(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "a; rm -rf ~ $(x) 'q'")
    name = "a%3B%20rm%20-rf%20~%20%24%28x%29%20%27q%27"
    page = html.unescape(client.get(f"/models/{name}/versions/1/promote?to=x").text)
    assert """mlgit promote 'a; rm -rf ~ $(x) '"'"'q'"'"'@1' --to x""" in page


# -- demoting and rolling back


def test_a_version_is_taken_out_of_a_stage(
    open_app: Open, fraud: GitStore, tags: Callable[[], list[str]]
) -> None:
    client = open_app(allow_write=True)
    answer = send(client, "/models/fraud/versions/1/demote?target=production", reason="broken")
    assert answer.status_code == 303  # type: ignore[attr-defined]
    assert registry(fraud).version("fraud", 1).current_stage == "None"
    assert tags()[-1].startswith("fraud#production!#")
    assert "broken" in client.get("/models/fraud").text
    again = client.get("/models/fraud/versions/1/demote?target=production")
    assert again.status_code == 409 and "What to do:" in again.text


def test_an_alias_goes_back_to_who_had_it_before(open_app: Open, fraud: GitStore) -> None:
    client = open_app(allow_write=True)
    page = client.get("/models/fraud/rollback?target=champion").text
    assert "Roll champion back to v1" in page
    answer = send(client, "/models/fraud/rollback?target=champion", reason="worse")
    assert answer.status_code == 303  # type: ignore[attr-defined]
    assert registry(fraud).by_alias("fraud", "champion").version == 1
    none = client.get("/models/fraud/rollback?target=champion")
    assert none.status_code == 409 and "mlgit models history fraud" in none.text


def test_who_may_not_is_told_so(
    open_app: Open, csrf: Csrf, fraud: GitStore, tags: Callable[[], list[str]]
) -> None:
    rules(fraud, "format: 1\npromotion: {fraud: {production: {who: 'bob@example.com'}}}\n")
    before, client = tags(), open_app(allow_write=True)
    page = client.get("/models/fraud/versions/1/demote?target=production")
    assert page.status_code == 200 and '<form method="post"' not in page.text
    assert guards(page.text)[0][2] == "ada@example.com isn't one of them"
    data = {**FORMS["versions/1/demote"], "csrf": csrf(client)}
    answer = client.post("/models/fraud/versions/1/demote", data=data, headers=OURS)
    assert answer.status_code == 409 and tags() == before
