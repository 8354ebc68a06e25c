"""The form that tries a model: in a process of its own, within limits, and only where it may."""

from __future__ import annotations

import html
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pd = pytest.importorskip("pandas")
cloudpickle = pytest.importorskip("cloudpickle")
from flask.testing import FlaskClient  # noqa: E402
from registered import register, registry  # noqa: E402

import mlgit  # noqa: E402
from mlgit.server import trying  # noqa: E402
from mlgit.store.gitstore import GitStore  # noqa: E402

Make = Callable[..., str]
Open = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]
# The child doesn't have this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
EXAMPLE = pd.DataFrame({"text": ["a", "b"], "n": [1.5, 2.0]})


class Shouts(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        print("heard", os.environ.get("MLGIT_UI_TOKEN") or "no token")
        return [str(text).upper() for text in model_input["text"]]


class Fails(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        print("<b>about</b> to fail")
        raise ZeroDivisionError("no <i>such</i> flower")


class Sleeps(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import subprocess
        import time

        child = subprocess.Popen(["sleep", "1000"])
        print("child", child.pid, flush=True)
        time.sleep(1000)


class Eats(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return len(bytearray(6 << 30))


class Writes(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import tempfile

        with tempfile.TemporaryFile() as f:
            for _ in range(64):
                f.write(bytes(1 << 20))
        return [1]


class Dies(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        os.abort()


@pytest.fixture
def logged(store: GitStore, make_run: Make, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Registers a model of a class as the next version of "m"."""

    def log(kind: type, **options: Any) -> None:
        folder = tmp_path / f"{kind.__name__}-model"
        options = {"input_example": EXAMPLE, **options}
        mlgit.pyfunc.save_model(folder, python_model=kind(), **options)
        run = make_run("one")
        store.log_artifacts(run, str(folder), "model")
        models = registry(store)
        if not models.has("m"):
            models.create_model("m")
        models.create_version("m", f"runs:/{run}/model", run)

    yield log


def attempt(
    client: FlaskClient, csrf: Csrf, text: str, kind: str = "json", version: int = 1
) -> Any:
    """Send the form."""
    data = {"csrf": csrf(client), "type": kind, "input": text}
    path = f"/models/m/versions/{version}/try"
    return client.post(path, data=data, headers={"Origin": "http://localhost"})


def typed(page: str) -> str:
    """What stands in the form's input."""
    return html.unescape(re.findall(r"<textarea[^>]*>\n?(.*?)</textarea>", page, re.S)[0]).strip()


def test_the_form_is_filled_with_the_example_and_predicts(
    open_app: Open, csrf: Csrf, logged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(Shouts)
    monkeypatch.setenv("MLGIT_UI_TOKEN", "the token of the server")
    client = open_app(allow_write=True)
    page = client.get("/models/m/versions/1/try").text
    assert "runs the model's code" in html.unescape(page)
    answer = attempt(client, csrf, typed(page))
    assert answer.status_code == 200
    assert '"predictions": ["A", "B"]' in html.unescape(answer.text)
    assert typed(answer.text) == typed(page)
    assert "heard no token" in answer.text
    as_csv = typed(client.get("/models/m/versions/1/try?type=csv").text)
    assert as_csv.split("\n") == ["text,n", "a,1.5", "b,2.0"]
    answer = attempt(client, csrf, as_csv.replace("a", "x"), "csv")
    assert '"predictions": ["X", "B"]' in html.unescape(answer.text)


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("nonsense", "json", "isn't JSON"),
        ("", "json", "The input is empty"),
        ('{"dataframe_split": {"columns": ["n"], "data": [[1]]}}', "json", "text"),
        ("[" * 5000, "json", "JSON"),
        ("other\n1\n", "csv", "text"),
        ("\ud800", "json", "JSON"),
    ],
)
def test_input_that_does_not_fit_is_explained(
    open_app: Open, csrf: Csrf, logged: Callable[..., None], text: str, kind: str, problem: str
) -> None:
    logged(Shouts)
    answer = attempt(
        open_app(allow_write=True), csrf, text.encode("utf-8", "replace").decode(), kind
    )
    assert answer.status_code == 422
    alert = answer.text.partition('role="alert"')[2].partition("</div>")[0]
    assert problem in html.unescape(alert)


def test_a_model_that_raises_shows_what_and_what_it_printed(
    open_app: Open, csrf: Csrf, logged: Callable[..., None]
) -> None:
    logged(Fails, input_example=None)
    answer = attempt(open_app(allow_write=True), csrf, '{"inputs": {"text": ["a"]}}')
    assert answer.status_code == 422 and "no &lt;i&gt;such&lt;/i&gt; flower" in answer.text
    assert "&lt;b&gt;about&lt;/b&gt; to fail" in answer.text
    assert "--env-manager virtualenv" in answer.text


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Eats, "it may take 4.0 GiB here"),
        (Writes, "File too large"),
        (Dies, "was killed by signal 6"),
    ],
)
def test_a_model_that_wants_too_much_is_stopped(
    open_app: Open, csrf: Csrf, logged: Callable[..., None], kind: type, said: str
) -> None:
    logged(kind, input_example=None)
    answer = attempt(open_app(allow_write=True), csrf, '{"inputs": {"text": ["a"]}}')
    alert = answer.text.partition('role="alert"')[2].partition("</section>")[0]
    assert answer.status_code == 422 and said in alert


def test_a_model_that_never_ends_is_ended_with_all_that_it_started(
    open_app: Open, csrf: Csrf, logged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(Sleeps, input_example=None)
    monkeypatch.setattr(trying, "LIMITS", replace(trying.LIMITS, seconds=8.0))
    answer = attempt(open_app(allow_write=True), csrf, '{"inputs": {"text": ["a"]}}')
    assert answer.status_code == 422 and "more than 8 s" in answer.text
    child = re.search(r"child (\d+)", answer.text)
    assert child
    state = Path(f"/proc/{child[1]}/stat")  # until somebody asks for its exit status: "Z"
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_refused_pickle_says_what_to_do(
    open_app: Open, csrf: Csrf, logged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(Shouts)
    monkeypatch.setenv("MLGIT_ALLOW_PICKLE", "false")
    answer = attempt(open_app(allow_write=True), csrf, '{"inputs": {"text": ["a"]}}')
    assert answer.status_code == 422 and "is a pickle" in answer.text
    assert "MLGIT_ALLOW_PICKLE=true" in answer.text


def test_where_models_must_be_signed_an_unsigned_one_is_not_loaded(
    open_app: Open, csrf: Csrf, logged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(Shouts)
    monkeypatch.setenv("MLGIT_VERIFY_MODELS", "true")
    answer = attempt(open_app(allow_write=True), csrf, '{"inputs": {"text": ["a"]}}')
    assert answer.status_code == 422 and "can't be trusted" in html.unescape(answer.text)
    assert "heard" not in answer.text


def test_a_folder_outside_of_runs_is_never_loaded(
    open_app: Open, csrf: Csrf, store: GitStore, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    mlgit.pyfunc.save_model(folder, python_model=Shouts())
    registry(store).create_model("m")
    registry(store).create_version("m", str(folder))
    answer = attempt(open_app(allow_write=True), csrf, "{}")
    assert answer.status_code == 404 and "aren't a run's" in html.unescape(answer.text)


def test_where_it_only_reads_the_command_is_shown(
    client: FlaskClient, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "m")
    page = client.get("/models/m/versions/1/try").text
    assert "<code>mlgit models predict models:/m/1 -i input.json</code>" in page
    assert '<form method="post"' not in page and "dataframe_split" in page


def test_only_so_many_are_tried_at_once(
    open_app: Open, csrf: Csrf, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "m")
    client = open_app(allow_write=True)
    taken = [trying._AT_ONCE.acquire(blocking=False) for _ in range(2)]
    try:
        assert all(taken)
        assert attempt(client, csrf, "{}").status_code == 503
    finally:
        for _ in taken:
            trying._AT_ONCE.release()
    assert attempt(client, csrf, "{}").status_code == 422


@pytest.mark.parametrize("kind", ["parquet", "", "../csv"])
def test_other_kinds_of_input_are_refused(
    open_app: Open, csrf: Csrf, store: GitStore, make_run: Make, kind: str
) -> None:
    register(store, make_run, "m")
    assert attempt(open_app(allow_write=True), csrf, "{}", kind).status_code == 400


def test_too_much_input_is_refused(
    open_app: Open, csrf: Csrf, store: GitStore, make_run: Make
) -> None:
    register(store, make_run, "m")
    assert attempt(open_app(allow_write=True), csrf, "x" * 300_000).status_code == 413
