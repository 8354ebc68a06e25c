"""The classes of attack that a web app over a repository meets, each by its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from mlgit.exceptions import InvalidParameterValue
from mlgit.server.options import options_for
from mlgit.server.protection import is_local_path

TOKEN = "a-token-of-enough-letters"
HTML = {"Accept": "text/html"}

Open = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]


# -- DNS rebinding


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:5000", ""]
    + ["10.0.0.1", "[::2]", "localhost@evil.example", "localhost:99999999", "localhost/x"],
)
def test_rebinding_a_name_that_is_not_ours_is_refused(client: FlaskClient, host: str) -> None:
    for path in ("/", "/runs", "/static/page.js"):
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


# -- what the browser is told


def test_every_answer_forbids_scripts_and_frames(client: FlaskClient) -> None:
    for path in ("/", "/runs", "/nothing", "/static/page.js", "/static/%2e%2e/app.py"):
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
    answer = client.get(f"/static/{path}", follow_redirects=True)
    assert answer.status_code in (400, 404), path
    assert "create_app" not in answer.text and "root:" not in answer.text
