"""The classes of attack that a web app over a repository meets, each by its name."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hostile import PAYLOADS, check, walk

from mlgit.exceptions import InvalidParameterValue
from mlgit.server.options import options_for
from mlgit.server.protection import is_local_path
from mlgit.store.gitstore import GitStore
from mlgit.store.names import EXPERIMENTS

TOKEN = "a-token-of-enough-letters"
HTML = {"Accept": "text/html"}
OURS = {"Origin": "http://localhost"}

Open = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]


def static(client: FlaskClient) -> str:
    """Where the app's own files are."""
    return str(client.application.static_url_path)


# -- DNS rebinding


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:5000", ""]
    + ["10.0.0.1", "[::2]", "localhost@evil.example", "localhost:99999999", "localhost/x"],
)
def test_rebinding_a_name_that_is_not_ours_is_refused(client: FlaskClient, host: str) -> None:
    for path in ("/", "/runs", f"{static(client)}/page.js"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code in (400, 403), (path, host)
        assert (
            "Runs</a>" not in answer.text or "refused" in answer.text or answer.status_code == 403
        )


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:80", "[::1]:5000"])
def test_our_own_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_open_to_all_addresses_a_foreign_name_is_refused_still(open_app: Open) -> None:
    options = options_for("0.0.0.0", 5000, no_auth=True, allowed_hosts=["ml.example"])
    client = open_app(hosts=options.hosts, any_address=options.any_address)
    assert client.get("/", headers={"Host": "10.1.2.3:5000"}).status_code == 200
    assert client.get("/", headers={"Host": "ml.example"}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403


# -- no authentication


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "ml.example"])
def test_open_to_others_it_does_not_start_without_a_token(host: str) -> None:
    with pytest.raises(InvalidParameterValue, match="token"):
        options_for(host, 5000)
    with pytest.raises(InvalidParameterValue, match="16"):
        options_for(host, 5000, token="short")
    assert options_for(host, 5000, token=TOKEN).token == TOKEN
    assert options_for(host, 5000, no_auth=True).token is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_this_machine_no_token_is_needed(host: str) -> None:
    assert options_for(host, 5000).token is None


def test_without_the_token_nothing_is_shown(open_app: Open) -> None:
    client = open_app(token=TOKEN)
    rules = [rule for rule in client.application.url_map.iter_rules() if "GET" in rule.methods]
    assert len(rules) > 4
    for rule in rules:
        if rule.endpoint in ("static", "login.form"):
            continue
        _, path = rule.build(dict.fromkeys(rule.arguments, "x"))
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 302 and "/login" in answer.location, path
        assert client.get(path, headers={"Accept": "image/png"}).status_code == 401, path


def test_the_token_lets_in_by_form_and_by_header(open_app: Open) -> None:
    client = open_app(token=TOKEN)
    origin = {"Origin": "http://localhost"}
    wrong = client.post("/login", data={"token": "wrong" * 8}, headers=origin)
    assert wrong.status_code == 403
    assert client.get("/", headers=HTML).status_code == 302
    right = client.post("/login", data={"token": TOKEN, "next": "/runs?flat=1"}, headers=origin)
    assert right.status_code == 302 and right.location == "/runs?flat=1"
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and TOKEN not in cookie
    assert client.get("/").status_code == 200
    other = client.application.test_client()
    assert other.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert other.get("/", headers={"Authorization": "Bearer no"}).status_code == 401


def test_a_cookie_of_another_start_lets_nobody_in(open_app: Open) -> None:
    first = open_app(token=TOKEN)
    origin = {"Origin": "http://localhost"}
    cookie = first.post("/login", data={"token": TOKEN}, headers=origin).headers["Set-Cookie"]
    name, _, value = cookie.partition(";")[0].partition("=")
    second = open_app(token=TOKEN)
    second.set_cookie(name, value)
    assert second.get("/", headers=HTML).status_code == 302


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil", "/a\\b"]
    + ["/\t/evil.example", "javascript:alert(1)", ""],
)
def test_open_redirect_after_the_token(open_app: Open, wanted: str) -> None:
    assert not is_local_path(wanted)
    answer = open_app(token=TOKEN).post(
        "/login", data={"token": TOKEN, "next": wanted}, headers={"Origin": "http://localhost"}
    )
    assert answer.location == "/"


def test_who_is_not_let_in_does_not_learn_what_this_is(
    open_app: Open, store: GitStore, make_run: Callable[..., str]
) -> None:
    run = make_run("the-name-of-a-run")
    name = (store.repo.worktree or "").rsplit("/", 1)[-1]
    assert f">{name}<" in open_app().get("/").text.replace("</span>", ">")
    client = open_app(token=TOKEN)
    for path in ("/login", "/nothing", f"/runs/{run}", f"{static(client)}/nothing.js"):
        for headers in ({}, HTML, {"Host": "evil.example"}):
            page = client.get(path, headers=headers, follow_redirects=True).text
            assert f"{name}<" not in page and f" {name} " not in page and "Runs</a>" not in page
            assert "the-name-of-a-run" not in page
    rebound = open_app().get("/", headers={"Host": "evil.example"}).text
    assert f"{name}<" not in rebound and f" {name} " not in rebound


# -- what the browser is told


def test_every_answer_forbids_scripts_and_frames(client: FlaskClient) -> None:
    at = static(client)
    for path in ("/", "/runs", "/nothing", f"{at}/page.js", f"{at}/%2e%2e/app.py"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, path
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"


# -- traversal


@pytest.mark.parametrize(
    "path",
    ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "%252e%252e%252fapp.py", "..\\app.py"]
    + ["/etc/passwd", "....//app.py", "vendor/../../app.py", "%00", "style.css%00.png"],
)
def test_traversal_out_of_the_static_files(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{static(client)}/{path}", follow_redirects=True)
    assert answer.status_code in (400, 404), path
    assert "create_app" not in answer.text and "root:" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fetc%2fpasswd"]
    + ["%252e%252e%252fetc%252fpasswd", "%25252e%25252e%25252fetc", "..%5c..%5cetc", "a/../../x"]
    + ["//etc/passwd", "%2fetc%2fpasswd", "C:%5cwindows", "a%00.txt", "..", ".", "%u002e%u002e"],
)
def test_traversal_out_of_the_artifacts_and_the_code(
    client: FlaskClient, make_run: Callable[..., str], path: str
) -> None:
    run = make_run(artifacts={"a.txt": b"a"})
    for page in ("file", "artifacts", "frame", "code", "zip"):
        answer = client.get(f"/runs/{run}/{page}/{path}", follow_redirects=True)
        assert "root:" not in answer.text
        # "." and ".." at the end may lead to a folder's own page, as in every browser.
        assert answer.status_code in (400, 404) or "Overview" in answer.text, (page, path)


def test_traversal_by_a_link_that_was_logged(
    client: FlaskClient, store: GitStore, tmp_path: Path, outside: Path
) -> None:
    folder = tmp_path / "logged"
    folder.mkdir()
    (folder / "dir").mkdir()
    (folder / "a.txt").write_text("a")
    record = store.runs.create("0", owner=True)
    store.log_artifacts(record.run_id, str(folder))
    # After it was logged: what is served are the bytes of then, wherever names lead now.
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to(outside)
    (folder / "dir").rmdir()
    (folder / "dir").symlink_to(outside.parent)
    assert client.get(f"/runs/{record.run_id}/file/a.txt").data == b"a"
    assert client.get(f"/runs/{record.run_id}/file/dir/secret.txt").status_code == 404


@pytest.mark.parametrize(
    "run_id", ["..", "%2e%2e%2f%2e%2e", "a" * 32, "x' OR 1=1 --", "%00", "../refs"]
)
def test_traversal_and_injection_by_a_run_id(client: FlaskClient, run_id: str) -> None:
    pages = ("", "/charts", "/artifacts/", "/file/x", "/code/", "/changes", "/environment")
    for page in pages:
        answer = client.get(f"/runs/{run_id}{page}", follow_redirects=True)
        assert answer.status_code in (200, 400, 404), page
        assert answer.status_code != 200 or "No runs yet" in answer.text
    for path in ("/api/points", "/api/live"):
        assert client.get(path, query_string={"run": run_id}).status_code in (400, 404)


# -- cross-site requests

WRITES = (
    *(f"/runs/<run_id>/{n}" for n in ("star", "note", "name", "tags", "stage")),
    "/runs/<run_id>/bring/a.txt",
    "/runs/<run_id>/register",
    *(f"/selection/{action}" for action in ("star", "tag", "delete", "restore")),
    *(f"/experiments/<experiment_id>/{name}" for name in ("name", "note", "tags", "stage")),
    "/api/markdown",
)


def test_every_write_is_known_to_these_tests(client: FlaskClient) -> None:
    rules = client.application.url_map.iter_rules()
    found = {rule.rule for rule in rules if rule.methods - {"GET", "HEAD", "OPTIONS"}}
    found = {rule for rule in found if not rule.startswith("/models/")}  # test_promotions.py
    known = {re.sub("/selection/.*", "/selection/<action>", path) for path in WRITES}
    assert found == {path.replace("a.txt", "<path:path>") for path in known} | {"/login"}


def _states(store: GitStore, run: str) -> object:
    experiment = store.runs.record(run).experiment_id
    return store.runs.find_ref(run), store.repo.refs.read(f"{EXPERIMENTS}{experiment}")


def _path(name: str, store: GitStore, run: str) -> str:
    experiment = store.runs.record(run).experiment_id
    return name.replace("<run_id>", run).replace("<experiment_id>", experiment)


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_unless_it_was_allowed(
    open_app: Open, csrf: Csrf, store: GitStore, make_run: Callable[..., str], name: str
) -> None:
    run = make_run(artifacts={"a.txt": b"a"}, experiment=store.experiments.create("e"))
    before = _states(store, run)
    client = open_app()
    path = _path(name, store, run)
    data = {
        "csrf": csrf(client),
        "name": "other",
        "note": "n",
        "key": "k",
        "value": "v",
        "run": run,
    }
    answer = client.post(path, data=data, headers={"Origin": "http://localhost"})
    assert answer.status_code == 403 and "only reads" in answer.text
    assert _states(store, run) == before
    reader = open_app(token=TOKEN)
    header = {"Authorization": f"Bearer {TOKEN}"}
    assert reader.post(path, data=data, headers=header).status_code == 403


@pytest.mark.parametrize("name", WRITES)
def test_csrf_from_another_site_changes_nothing(
    open_app: Open, csrf: Csrf, store: GitStore, make_run: Callable[..., str], name: str
) -> None:
    run = make_run(artifacts={"a.txt": b"a"}, experiment=store.experiments.create("e"))
    before = _states(store, run)
    path = _path(name, store, run)
    client = open_app(allow_write=True)
    token = csrf(client)
    ours = {"Origin": "http://localhost"}
    for data, headers in (
        ({"csrf": token}, {"Origin": "http://evil.example"}),
        ({"csrf": token}, {"Origin": "null"}),
        ({"csrf": token}, {"Origin": "http://localhost.evil.example"}),
        ({"csrf": token}, {"Origin": "http://localhost:81"}),
        ({"csrf": token}, {}),
        ({"csrf": token}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": token + "x"}, ours),
        ({"csrf": ""}, ours),
        ({}, ours),
    ):
        more = {"name": "other", "note": "n", "key": "k", "value": "v", "run": run}
        answer = client.post(path, data={**more, **data}, headers=headers)
        assert answer.status_code in (400, 403), (data, headers)
    assert client.get(path).status_code in (404, 405)
    assert _states(store, run) == before
    stranger = client.application.test_client()  # another browser's token
    answer = stranger.post(path, data={"csrf": token}, headers=ours)
    assert answer.status_code == 400


def test_a_form_of_ours_writes(
    open_app: Open, csrf: Csrf, store: GitStore, make_run: Callable[..., str]
) -> None:
    run = make_run("before")
    client = open_app(allow_write=True)
    page = client.get(f"/runs/{run}").text
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token

    def send(what: str, **data: str) -> None:
        form = {"csrf": token[1], **data}
        answer = client.post(
            f"/runs/{run}/{what}", data=form, headers={"Origin": "http://localhost"}
        )
        assert answer.status_code == 303 and answer.location == f"/runs/{run}", answer.text

    for _ in range(2):  # a second click changes nothing
        send("star", star="on")
    send("note", note="a\r\nb", next="//evil.example")
    send("name", name="after")
    send("tags", key="k", value="v")
    for _ in range(2):
        send("stage", stage="deleted")
    record = store.runs.record(run)
    assert record.run_name == "after" and record.lifecycle_stage == "deleted"
    assert record.tags == {"mlgit.starred": "true", "mlflow.note.content": "a\nb", "k": "v"}
    for field, value in (("stage", "zz"), ("stage", ""), ("star", "yes")):
        form = {"csrf": token[1], field: value}
        assert client.post(f"/runs/{run}/{field}", data=form, headers=OURS).status_code == 400
    for wrong in ("x" * 251, "two\nlines", "nul\0", " "):
        form = {"csrf": token[1], "name": wrong}
        assert client.post(f"/runs/{run}/name", data=form, headers=OURS).status_code == 400
    send("stage", stage="active")
    assert store.runs.record(run).lifecycle_stage == "active"
    send("star", star="off")
    send("tags", key="k")
    assert (
        client.post(
            f"/runs/{run}/tags", data={"csrf": token[1], "value": "v"}, headers=OURS
        ).status_code
        == 400
    )
    assert "k" not in store.runs.record(run).tags
    assert "mlgit.starred" not in store.runs.record(run).tags


def test_an_experiment_is_described_tagged_renamed_and_deleted(
    open_app: Open, csrf: Csrf, store: GitStore
) -> None:
    experiment = store.experiments.create("before")
    client = open_app(allow_write=True)
    token = csrf(client)

    def send(what: str, **data: str) -> str:
        path = f"/experiments/{experiment}/{what}"
        answer = client.post(path, data={"csrf": token, **data}, headers=OURS)
        assert answer.status_code == 303 and answer.location == f"/experiments/{experiment}"
        return client.get(answer.location).text

    assert "<strong>why</strong>" in send("note", note="**why**\r\n\r\n- one")
    assert "team: vision" in send("tags", key="team", value="vision")
    assert "<title>after" in send("name", name="after")
    for stage in ("deleted", "deleted", "active", "active"):
        told = "This experiment is deleted" in send("stage", stage=stage)
        assert told == (stage == "deleted")
    assert "team: vision" not in send("tags", key="team")
    assert store.experiments.get(experiment).tags == {"mlflow.note.content": "**why**\n\n- one"}
    for what, data in (("name", {"name": " "}), ("tags", {"value": "v"}), ("tags", {"key": "no"})):
        answer = client.post(
            f"/experiments/{experiment}/{what}", data={"csrf": token, **data}, headers=OURS
        )
        assert answer.status_code in (400, 404), what
    assert "/note" not in open_app().get(f"/experiments/{experiment}").text


def test_a_preview_is_what_the_note_will_be(open_app: Open, csrf: Csrf) -> None:
    client = open_app(allow_write=True)
    for payload in [*PAYLOADS, "**bold**"]:
        data = {"csrf": csrf(client), "note": payload}
        answer = client.post("/api/markdown", data=data, headers=OURS)
        assert answer.mimetype == "application/json"
        check(answer.json["html"], payload)
    assert answer.json["html"] == "<p><strong>bold</strong></p>"


# -- stored markup


@pytest.mark.parametrize("write", [False, True])
def test_stored_markup_is_text_on_every_page(
    open_app: Open, store: GitStore, make_run: Callable[..., str], write: bool
) -> None:
    client = open_app(allow_write=write)
    names = [payload.replace("/", "_")[:100] for payload in PAYLOADS]
    experiment = store.experiments.create(
        PAYLOADS[0], tags={"k": PAYLOADS[2], "mlflow.note.content": PAYLOADS[1]}
    )
    last = ""
    for n, payload in enumerate(PAYLOADS):
        key = re.sub(r"[^\w .:/-]", "-", payload).strip("/")[:60] or "k"
        last = make_run(
            payload,
            experiment=experiment,
            metrics={key: float(n)},
            params={key: payload},
            tags={"mlflow.note.content": payload, "mlflow.source.name": payload, key: payload},
            artifacts={
                f"{names[n]}": payload.encode(),
                f"{names[n]}.md": payload.encode(),
                f"dir {n}/{names[n]}.csv": payload.encode(),
                f"{names[n]}.json": json.dumps({payload: payload}).encode(),
                f"{names[n]}.svg": payload.encode(),
                f"{names[n]}.html": payload.encode(),
            },
            parent=last if n % 3 == 2 else None,
        )
    assert walk(client, "/") > 100
    for payload in PAYLOADS:
        for name in ("filter", "order", "group", "column", "experiment", "view", "page"):
            answer = client.get("/runs", query_string={name: payload})
            check(answer.text, f"{name}={payload}")
        check(client.get("/", query_string={"q": payload}).text, payload)
        check(client.get(f"/{quote(payload, safe='')}").text, payload)
        check(client.get(f"/runs/{quote(payload, safe='')}", follow_redirects=True).text, payload)
    found = client.get(f"/experiments/{experiment}").text
    assert "&lt;script&gt;PWNED()&lt;/script&gt;" in found


def test_logged_html_never_is_a_page_of_ours(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    data = b"<script>PWNED()</script>"
    names = ("x.html", "x.htm", "x.svg", "x.xml", "x.js", "x.css", "x", "x.pdf", "x.HTML")
    run = make_run(artifacts=dict.fromkeys(names, data))
    for name in names:
        headers = client.get(f"/runs/{run}/file/{name}").headers
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        allowed = "image/svg+xml" if name == "x.svg" else "application/octet-stream"
        assert headers["Content-Type"].partition(";")[0] == allowed
        frame = client.get(f"/runs/{run}/frame/{name}")
        assert frame.status_code == (200 if name.lower().endswith((".html", ".htm")) else 400)


def test_a_frame_has_no_origin_no_network_and_no_scripts_unless_asked(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run(artifacts={"x.html": b"<h1>x</h1>"})
    still = client.get(f"/runs/{run}/frame/x.html").headers["Content-Security-Policy"]
    assert still.startswith("sandbox;") and "script-src" not in still
    asked = client.get(f"/runs/{run}/frame/x.html?scripts=1").headers["Content-Security-Policy"]
    assert asked.startswith("sandbox allow-scripts;") and "allow-same-origin" not in asked
    for policy in (still, asked):
        assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy
        assert "connect-src" not in policy and "http" not in policy
    page = client.get(f"/runs/{run}/artifacts/x.html").text
    assert re.search(r'<iframe[^>]*sandbox=""', page)
    assert 'sandbox="allow-scripts"' in client.get(f"/runs/{run}/artifacts/x.html?scripts=1").text


def test_headers_are_not_split_by_a_file_name(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run(artifacts={'a"; x=\r\nSet-Cookie: y=1.txt': b"a"})
    listing = client.get(f"/runs/{run}/artifacts/").text
    link = re.search(r'href="(/runs/[^"]+Cookie[^"]+)"', listing)
    assert link
    path = html.unescape(link[1]).replace("/artifacts/", "/file/")
    answer = client.get(path)
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert "\r" not in answer.headers["Content-Disposition"]


# -- too much


def test_bodies_beyond_the_limit_are_refused(
    open_app: Open, csrf: Csrf, make_run: Callable[..., str]
) -> None:
    run = make_run()
    client = open_app(allow_write=True)
    data = {"csrf": csrf(client), "note": "x" * 1_000_000}
    answer = client.post(f"/runs/{run}/note", data=data, headers={"Origin": "http://localhost"})
    assert answer.status_code == 413


def test_streams_are_bounded(open_app: Open, store: GitStore) -> None:
    run = store.runs.create("0", owner=True).run_id
    client = open_app(streams=2)
    held = [client.get(f"/api/live?run={run}", buffered=False) for _ in range(2)]
    assert [answer.status_code for answer in held] == [200, 200]
    assert client.get(f"/api/live?run={run}").status_code == 503
    for answer in held:
        answer.close()  # the client goes
    again = client.get(f"/api/live?run={run}", buffered=False)
    assert again.status_code == 200
    again.close()


def test_an_error_of_ours_shows_no_insides(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, store: GitStore
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(store.index, "run_counts", fail)
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text
