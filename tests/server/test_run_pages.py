"""A run's pages: what they show of it, and of what isn't there."""

from __future__ import annotations

import html
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlgit.entities import Metric
from mlgit.exceptions import CorruptData
from mlgit.store.gitstore import GitStore

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")


def _points(client: FlaskClient, query: str) -> list[dict[str, object]]:
    answer = client.get(f"/api/points?{query}")
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)["series"]  # type: ignore[no-any-return]


def test_the_overview_shows_what_was_logged(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run(
        "a run",
        metrics={"acc": 0.5, "system/cpu": 3.0},
        params={"lr": "0.1"},
        tags={"team": "x", "mlflow.note.content": "**good** one"},
        artifacts={"f.txt": b"x"},
    )
    child = make_run("child", parent=run)
    page = client.get(f"/runs/{run}").text
    for part in ("a run", "acc", "0.5", "lr", "0.1", "team", "<strong>good</strong>", "child"):
        assert part in page, part
    assert "git worktree add" in page and f"mlgit artifacts download {run[:8]}" in page
    assert "git merge --ff-only" in page
    assert f'href="/runs/{run}"' in client.get(f"/runs/{child}").text


def test_a_name_or_the_beginning_of_an_id_leads_to_the_run(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run("named")
    for text in ("named", run[:6], "@{0}"):
        assert client.get(f"/runs/{text}").location == f"/runs/{run}"
    answer = client.get("/runs/unknown")
    assert answer.status_code == 404 and "No run is called" in answer.text


def test_a_deleted_run_says_how_it_comes_back(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    run = make_run()
    store.runs.update(run, lifecycle_stage="deleted")
    page = client.get(f"/runs/{run}").text
    assert "This run is deleted" in page and f"mlgit runs restore {run[:8]}" in page


def test_points_come_whole_or_reduced_with_their_extremes(
    client: FlaskClient, store: GitStore
) -> None:
    record = store.runs.create("0", run_name="long", start_time=1000, owner=True)
    values = [math.sin(n / 50) for n in range(5000)]
    values[1234], values[4321] = 99.0, -99.0
    points = [Metric("m", value, 1000 + 10 * n, n) for n, value in enumerate(values)]
    store.runs.log_batch(record.run_id, [*points, Metric("nan", math.nan, 1000, 0)])
    for _ in range(2):  # going, and then ended
        (whole,) = _points(client, f"run={record.run_id}&key=m&points=10000")
        assert whole["count"] == 5000 and whole["y"] == values
        (few,) = _points(client, f"run={record.run_id}&key=m&points=100")
        assert len(few["y"]) <= 110 and {99.0, -99.0} <= set(few["y"])  # type: ignore[arg-type,call-overload]
        (timed,) = _points(client, f"run={record.run_id}&key=m&x=relative&points=10000")
        assert timed["x"][:3] == [0.0, 0.01, 0.02]  # type: ignore[index]
        (odd,) = _points(client, f"run={record.run_id}&key=nan&key=unknown")
        assert odd["y"] == [None] and odd["odd"] == 1
        if record.run_id in store.runs._open:
            store.runs.finish(record.run_id, "FINISHED")


def test_smoothing_is_the_weighted_mean_so_far(client: FlaskClient, store: GitStore) -> None:
    record = store.runs.create("0", owner=True)
    values = [1.0, 2.0, math.nan, 4.0]
    store.runs.log_batch(record.run_id, [Metric("m", v, n, n) for n, v in enumerate(values)])
    store.runs.finish(record.run_id, "FINISHED")
    (found,) = _points(client, f"run={record.run_id}&key=m&smooth=0.5")
    second = (0.5 * 1 + 2) / 1.5
    third = (0.25 * 1 + 0.5 * 2 + 4) / 1.75
    assert found["smooth"] == pytest.approx([1.0, second, second, third])


def test_points_of_steps_out_of_order_are_sorted(client: FlaskClient, store: GitStore) -> None:
    record = store.runs.create("0", owner=True)
    store.runs.log_batch(record.run_id, [Metric("m", float(s), 5, s) for s in (3, 1, 2)])
    (found,) = _points(client, f"run={record.run_id}&key=m")
    assert found["x"] == [1, 2, 3]


def test_too_much_for_one_chart_is_refused(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run()
    query = "&".join(f"key={n}" for n in range(500))
    assert client.get(f"/api/points?run={run}&{query}").status_code == 400
    assert client.get(f"/api/points?run={run}&x=sideways").status_code == 400
    answer = client.get("/api/points?run=" + "0" * 32)
    assert answer.status_code == 404 and "error" in answer.json


def test_history_as_csv(client: FlaskClient, make_run: Callable[..., str]) -> None:
    run = make_run(metrics={"a/b c": 0.5})
    text = client.get(f"/runs/{run}/history.csv", query_string={"key": "a/b c"}).text
    assert text.splitlines()[0] == "step,timestamp,value" and text.rstrip().endswith(",0.5")
    assert client.get(f"/runs/{run}/history.csv?key=x").status_code == 404


def test_artifacts_are_listed_previewed_and_downloaded(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    files = {
        "plots/a.png": PNG,
        "t.csv": b'a,b\n1,"x, y"\n',
        "table.json": b'{"columns": ["q"], "data": [["cell"], [3]]}',
        "c.json": b'{"k":[1,2]}',
        "bad.json": b"{",
        "r.md": b"# Title\n\n- one\n",
        "log.txt": b"line\n" * 3,
        "page.html": b"<h1>hi</h1>",
        "b.bin": b"\0\1\2",
        "false.png": b"<script>alert(1)</script>",
        "deep/er/x.txt": b"deep",
    }
    run = make_run(artifacts=files)
    top = client.get(f"/runs/{run}/artifacts/").text
    for name in ("plots/", "t.csv", "deep/", "b.bin"):
        assert f">{name}<" in top
    assert "<img" in client.get(f"/runs/{run}/artifacts/plots").text
    expected = {
        "t.csv": "<td>x, y</td>",
        "table.json": "<td>cell</td>",
        "c.json": "&#34;k&#34;: [\n",
        "bad.json": "isn&#39;t JSON",
        "r.md": "<li>one</li>",
        "log.txt": "line\nline",
        "page.html": "<iframe",
        "b.bin": "isn't text",
        "plots/a.png": "<img",
        "false.png": "isn&#39;t an image",
        "deep/er/x.txt": "deep</pre>",
    }
    for path, part in expected.items():
        assert part in client.get(f"/runs/{run}/artifacts/{path}").text, path
    for path, data in files.items():
        answer = client.get(f"/runs/{run}/file/{path}")
        assert answer.data == data
        assert answer.headers["Content-Disposition"].startswith("attachment")
    assert client.get(f"/runs/{run}/file/plots").status_code == 400
    assert "<img" not in client.get(f"/runs/{run}/artifacts/false.png").text


def test_what_never_was_is_not_called_damaged(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run(metrics={"loss": 1.0})
    for path in ("history.csv?key=x", "code/x.py", "artifacts/x"):
        answer = client.get(f"/runs/{run}/{path}")
        assert answer.status_code == 404 and "fsck" not in answer.text, path


def test_params_stand_in_the_order_of_counting(
    client: FlaskClient, make_run: Callable[..., str]
) -> None:
    run = make_run(params=dict.fromkeys(("p10", "p9", "a", "p100", "p", "p1b"), "v"))
    names = re.findall(r'<th scope="row">(\w+)</th><td>v', client.get(f"/runs/{run}").text)
    assert names == ["a", "p", "p1b", "p9", "p10", "p100"]


def test_folders_are_downloaded_as_zip(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    files = {"a.txt": b"a", "d/b.bin": b"\0" * 600_000, "d/e/ü.txt": b"u", "d/x:y": b"x"}
    run = make_run("böx/1", artifacts=files)

    def members(path: str) -> dict[str, bytes]:
        answer = client.get(f"/runs/{run}/zip/{path}")
        assert answer.status_code == 200 and answer.mimetype == "application/zip"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    assert f'href="/runs/{run}/zip/d"' in client.get(f"/runs/{run}/artifacts/d").text
    assert members("") == {name.replace(":", "_"): data for name, data in files.items()}
    assert members("d/e") == {"ü.txt": b"u"}
    assert client.get(f"/runs/{run}/zip/a.txt").status_code == 400
    assert client.get(f"/runs/{run}/zip/nothing").status_code == 404
    entry = store.artifact(run, "d/e/ü.txt")
    os.unlink(store.objects.path(entry.sha256))  # type: ignore[union-attr]
    answer = client.get(f"/runs/{run}/zip/")
    assert answer.status_code == 404 and "1 of 4 files" in answer.text


def test_a_zip_of_a_damaged_file_has_no_end(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    run = make_run(artifacts={"a.txt": b"whole", "b.txt": b"right"})
    place = Path(store.objects.path(store.artifact(run, "b.txt").sha256))  # type: ignore[union-attr]
    place.chmod(0o644)
    place.write_bytes(b"WRONG")
    sent = b""
    with pytest.raises(CorruptData):
        for part in client.get(f"/runs/{run}/zip/").iter_encoded():
            sent += part
    assert b"WRONG" not in sent and not zipfile.is_zipfile(io.BytesIO(sent))


def test_sound_and_film_are_played(client: FlaskClient, make_run: Callable[..., str]) -> None:
    run = make_run(artifacts={"say.wav": b"RIFF" * 100, "go.MP4": b"film"})
    for name, tag, kind in (("say.wav", "audio", "audio/wav"), ("go.MP4", "video", "video/mp4")):
        page = client.get(f"/runs/{run}/artifacts/{name}")
        assert f'<{tag} controls preload="metadata" src="/runs/{run}/file/{name}"' in page.text
        assert "media-src 'self'" in page.headers["Content-Security-Policy"]
        part = client.get(f"/runs/{run}/file/{name}", headers={"Range": "bytes=0-3"})
        assert (part.status_code, len(part.data), part.mimetype) == (206, 4, kind)


def test_missing_artifacts_say_so(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    run = make_run(artifacts={"a.txt": b"here"})
    for path in (f"/runs/{run}/artifacts/b.txt", f"/runs/{run}/file/b.txt"):
        assert client.get(path).status_code == 404
    entry = store.artifact(run, "a.txt")
    os.unlink(store.objects.path(entry.sha256))  # type: ignore[union-attr]
    page = client.get(f"/runs/{run}/artifacts/a.txt")
    assert page.status_code == 200 and "isn&#39;t in this clone" in page.text
    assert "Fetch it" not in page.text
    assert client.get(f"/runs/{run}/file/a.txt").status_code == 404


def test_a_damaged_artifact_is_never_served(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    run = make_run(artifacts={"a.txt": b"right", "b.txt": b"right too"})
    for name, path in (("a.txt", "file"), ("b.txt", "artifacts")):
        entry = store.artifact(run, name)
        place = store.objects.path(entry.sha256)  # type: ignore[union-attr]
        os.chmod(place, 0o644)
        Path(place).write_bytes(b"WRONG")
        answer = client.get(f"/runs/{run}/{path}/{name}")
        assert answer.status_code == 500 and "damaged" in answer.text
        assert "WRONG" not in answer.text


def test_the_code_and_its_changes(
    client: FlaskClient, repo_dir: Path, make_run: Callable[..., str]
) -> None:
    clean = make_run()
    assert "Nothing differs" in client.get(f"/runs/{clean}/changes").text
    (repo_dir / "train.py").write_text("print('changed')\n")
    (repo_dir / "sub").mkdir()
    (repo_dir / "sub" / "new.py").write_text("new = 1\n")
    (repo_dir / "link").symlink_to("/etc/passwd")
    run = make_run()
    changes = client.get(f"/runs/{run}/changes").text
    assert "-print(&#39;training&#39;)" in changes and "+print(&#39;changed&#39;)" in changes
    top = client.get(f"/runs/{run}/code/").text
    assert f'href="/runs/{run}/code/sub"' in top
    assert "new = 1" in client.get(f"/runs/{run}/code/sub/new.py").text
    link = client.get(f"/runs/{run}/code/link").text
    assert "/etc/passwd" in link and "root:" not in link
    assert client.get(f"/runs/{run}/code/nothing").status_code == 404


def test_the_environment(client: FlaskClient, store: GitStore) -> None:
    record = store.runs.create(
        "0", owner=True, environment={"python": "3.11", "packages": {"numpy": "2.0"}}
    )
    for _ in range(2):
        page = client.get(f"/runs/{record.run_id}/environment").text
        assert "numpy" in page and "3.11" in page
        if record.run_id in store.runs._open:
            store.runs.finish(record.run_id, "FINISHED")
    bare = store.runs.create("0", owner=True).run_id
    assert "No environment recorded" in client.get(f"/runs/{bare}/environment").text


def test_names_for_completion(client: FlaskClient, make_run: Callable[..., str]) -> None:
    make_run(metrics={"val loss": 1.0}, params={"lr": "1"})
    fields = client.get("/api/keys").json["fields"]
    assert "metrics.`val loss`" in fields and "params.lr" in fields and "status" in fields


def test_values_for_completion(client: FlaskClient, make_run: Callable[..., str]) -> None:
    odd = {"both": 'it\'s "so"', "long": "x" * 300}
    for n, model in enumerate(["tree", "it's", "transformer", "tree", "\U0010ffffx", ""]):
        make_run(params={"model kind": model, "n": str(n)}, tags={"team": "vision", **odd})

    def values(field: str, begins: str = "") -> list[str]:
        query = {"field": field, "begins": begins}
        return client.get("/api/values", query_string=query).json["values"]  # type: ignore[no-any-return]

    everything = ["''", '"it\'s"', "'transformer'", "'tree'", "'\U0010ffffx'"]
    assert values("params.`model kind`") == everything
    assert values("params.`model kind`", "tr") == ["'transformer'", "'tree'"]
    assert values("param.`model kind`", "tree") == ["'tree'"]
    assert values("tags.team") == ["'vision'"] and values("tag.team", "w") == []
    assert values("tags.both") == [] and values("tags.long") == []  # no filter could hold them
    assert values("status", "f") == ["'FAILED'", "'FINISHED'"]
    for field in (
        "metrics.loss",
        "params.",
        "nonsense",
        "params.x y z",
        "run_name",
        "",
        "params.\0",
    ):
        assert values(field) == [], field
    assert values("params.n", "\0") == []


def test_a_dataset_leads_to_the_runs_with_it(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    used = {"name": "it's", "digest": "abc", "source": "a.csv"}
    runs = [make_run(f"r{n}", status="RUNNING") for n in range(3)]
    for run in runs[:2]:
        store.runs.log_inputs(run, [used])
    page = client.get(f"/runs/{runs[0]}").text
    link = re.search(r'href="([^"]+)">runs with it', page)
    assert link
    found = client.get(html.unescape(link[1])).text
    assert re.findall(r'aria-label="Select (\S+)"', found) == ["r1", "r0"]
    for begins, names in (("", ['"it\'s"']), ("it", ['"it\'s"']), ("x", []), ("\0", [])):
        query = {"field": "datasets.name", "begins": begins}
        assert client.get("/api/values", query_string=query).json["values"] == names
    assert client.get("/api/values?field=datasets.digest").json["values"] == []


def test_an_unreadable_commit_is_told(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str], repo_dir: Path
) -> None:
    run = make_run()
    ref, _ = store.runs.find_ref(run) or ("", "")
    store.repo.refs.update(ref, "1" * 40)
    answer = client.get(f"/runs/{run}")
    assert answer.status_code in (404, 500) and "What to do" in answer.text
