"""``mlgit artifacts``."""

from __future__ import annotations

from pathlib import Path

import mlgit


def test_list(run, data, three):
    assert run("artifacts", "list", "alpha").stdout.split() == ["9", "B", "c.json", "notes/"] or (
        "c.json" in run("artifacts", "list", "alpha").stdout
    )
    paths = [a["path"] for a in data("artifacts", "list", "alpha", "-R", "--json")]
    assert paths == ["c.json", "notes", "notes/a.txt"]
    found = data("artifacts", "list", "-r", three[0], "-a", "notes", "--json")
    assert found == [{"path": "notes/a.txt", "is_dir": False, "file_size": 5}]


def test_list_what_isnt_there(run, data, three):
    assert "did you mean notes?" in run("artifacts", "list", "alpha", "note", code=3).stderr
    assert data("artifacts", "list", "alpha", "c.json", "--json")[0]["path"] == "c.json"
    run("artifacts", "list", code=2)
    run("artifacts", "list", "alpha", "notes", "-a", "notes", code=2)


def test_download(run, three, tmp_path: Path):
    where = run("artifacts", "download", "alpha", "notes/a.txt", "-d", str(tmp_path / "one")).stdout
    assert Path(where.strip()).read_text() == "hello"
    where = run("artifacts", "download", "-r", three[0]).stdout
    assert (Path(where.strip()) / "notes/a.txt").read_text() == "hello"
    uri = f"runs:/{three[0]}/c.json"
    where = run("artifacts", "download", "-u", uri, "-d", str(tmp_path / "two")).stdout
    assert Path(where.strip()).name == "c.json"
    run("artifacts", "download", "alpha", "-u", uri, code=2)
    run("artifacts", "download", "alpha", "nope", code=3)


def test_a_damaged_object_is_never_written(run, three, repo: Path, tmp_path: Path):
    store = mlgit.tracking.uri.store_for()
    path = Path(store.objects.path(store.artifact(three[0], "notes/a.txt").sha256))
    path.chmod(0o644)
    path.write_text("HELLO")
    run("artifacts", "download", "alpha", "notes/a.txt", "-d", str(tmp_path / "out"), code=5)
    assert not (tmp_path / "out/notes/a.txt").exists()


def test_log(run, three, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("w")
    run("artifacts", "log", "alpha", str(folder))
    run("artifacts", "log", "alpha", str(folder / "weights"), "extra")
    run("artifacts", "log-artifact", "-l", str(folder / "weights"), "-r", three[0], "-a", "x")
    run("artifacts", "log-artifacts", "--local-dir", str(folder), "--run-id", three[0])
    client = mlgit.MlflowClient()
    top = {info.path for info in client.list_artifacts(three[0])}
    assert top == {"c.json", "notes", "model", "extra", "x", "weights"}
    run("artifacts", "log", "alpha", str(tmp_path / "nope"), code=3)
