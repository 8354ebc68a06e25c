"""gc and du from the command line."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import mlgit
from mlgit.store.pointers import Pointer, format_pointer
from mlgit.tracking import uri

OLD = 30 * 86_400.0


def age() -> None:
    objects = uri.store_for().objects
    for sha in objects.all():
        os.utime(objects.path(sha), (time.time() - OLD,) * 2)
    objects._use = None


def forget(run_id: str, experiment_id: str = "0") -> None:
    ref = f"refs/mlgit/runs/{experiment_id}/{run_id}"
    subprocess.run(["git", "update-ref", "-d", ref], check=True)


def test_gc_tells_and_then_removes(run, data, three):
    assert run("gc").stdout.splitlines()[0] == "Would remove 0 objects, 0 B"
    with mlgit.start_run() as big:
        mlgit.log_text("x" * 5000, "big.txt")
    mlgit.log_text("small", "s.txt", run_id=big.info.run_id)
    forget(big.info.run_id)
    age()
    told = run("gc")
    assert "Would remove 2 objects, 4.9 KiB" in told.stdout
    assert told.stdout.index("4.9 KiB") < told.stdout.index("5 B")
    assert "mlgit gc --force" in told.stderr
    found = data("gc", "--json")
    assert [each["size"] for each in found["objects"]] == [5000, 5]
    assert not found["removed"] and found["reached"]["objects"] == 5
    assert run("gc", "--grace", "40d").stdout.count("Kept 2 objects that are new") == 1
    assert "Removed 2 objects" in run("gc", "-f").stdout
    assert data("gc", "--json")["objects"] == []
    assert data("fsck", "--json")["problems"] == []


def test_gc_refuses_what_makes_no_sense(run, repo):
    assert "isn't a time" in run("gc", "--grace", "soon", code=2).stderr
    (repo / "data.mlgit").write_text("<<<<<<< HEAD\n")
    assert "data.mlgit" in run("gc", "--force", code=4).stderr
    assert "Can't tell what" in run("gc").stderr
    run("gc", "--force", "--skip-unreadable")


def test_du_counts_shared_bytes_once(run, data, three, repo: Path):
    # Each run has notes/a.txt ("hello") and c.json; "hello" is shared by both experiments.
    entry = uri.store_for().objects.put_bytes(b"d" * 3000)
    (repo / "wine.csv.mlgit").write_bytes(format_pointer(Pointer("wine.csv", entry)))
    found = data("du", "--json")
    manifest = len(b"mlgit-manifest 1\nf  5 1 a.txt\n") + 64
    by_name = {each["name"]: each for each in found["experiments"]}
    assert by_name["Default"]["runs"] == 2 and by_name["other"]["runs"] == 1
    common = 5 + manifest
    assert by_name["Default"]["shared"] == by_name["other"]["shared"] == common
    own = sum(len(f'{{\n  "at": {at}\n}}') for at in (0, 1))
    assert by_name["Default"]["bytes"] == common + own == by_name["Default"]["here"]
    assert found["data"][0]["name"] == "wine.csv" and found["data"][0]["bytes"] == 3000
    assert found["total"]["objects"] == 3000 + common + own + own // 2
    assert found["total"]["unreached"] == 0 and found["total"]["git"] > 0
    runs = data("du", "--experiment", "Default", "--json")["runs"]
    assert {each["id"] for each in runs} == set(three[:2])
    assert all(each["shared"] == common for each in runs)
    shown = run("du").stdout
    assert "wine.csv" in shown and "2.9 KiB" in shown and "Git's objects" in shown
    assert "alpha" in run("du", "--experiment", "Default").stdout
    for at, tag in ((0, "m@v1.0.0"), (1, "m@v2.0.0"), (0, "n@v1.0.0")):
        ref = f"refs/mlgit/runs/0/{three[at]}"
        subprocess.run(["git", "tag", "-a", "-m", "x", tag, ref], check=True, cwd=repo)
    models = {each["name"]: each for each in data("du", "--json")["models"]}
    assert models["m"]["runs"] == 2 and models["m"]["bytes"] == common + own
    assert models["n"]["bytes"] == models["m"]["shared"] == common + own // 2
    assert "versions" in run("du").stdout
    for tag in ("m@v1.0.0", "m@v2.0.0", "n@v1.0.0"):
        subprocess.run(["git", "tag", "-d", tag], check=True, cwd=repo)
    forget(three[0])
    assert data("du", "--json")["total"]["unreached"] == own // 2


def test_du_of_nothing(run, repo):
    assert "Git's objects" in run("du").stdout
    assert run("du", "--experiment", "nope", code=3)


def test_what_is_added_again_is_new_again(run, data, repo: Path):
    """It is known by its time and not read again; still gc must leave it alone from then on."""
    (repo / "data").mkdir()
    for number in range(3):
        (repo / "data" / f"{number}.txt").write_text(f"number {number}")
    time.sleep(0.2)
    run("add", "data")
    run("add", "data")
    (repo / "data.mlgit").unlink()
    age()
    assert len(data("gc", "--grace", "1d", "--json")["objects"]) == 4
    run("add", "data")
    (repo / "data.mlgit").unlink()
    assert data("gc", "--grace", "1d", "--json")["too_new"]["objects"] == 4


def test_gc_and_fsck_of_a_remote(run, data, three, tmp_path: Path):
    run("remote", "add", "storage", str(tmp_path / "storage"), "--local")
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "there.git"], check=True)
    subprocess.run(["git", "remote", "add", "origin", tmp_path / "there.git"], check=True)
    uri.close_all()
    run("push", "origin")
    assert "no problems" in run("fsck", "--remote", "--download").stdout
    found = data("gc", "--remote", "--json")
    assert found["objects"] == [] and found["reached"]["objects"] == 5
    stray = tmp_path / "storage/objects/sha256/ab" / ("c" * 62)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"nobody's")
    os.utime(stray, (0, 0))
    assert "Would remove 1 object, 8 B" in run("gc", "--remote", "storage").stdout
    assert "Removed 1 object, 8 B" in run("gc", "--remote", "--force").stdout
    assert not stray.exists()
    assert "No remote is called" in run("gc", "--remote", "nowhere", code=3).stderr
    lost = next((tmp_path / "storage/objects/sha256").glob("*/*"))
    lost.unlink()
    assert lost.name in run("fsck", "--remote", code=1).stdout
    assert "give --remote too" in run("gc", "storage", code=2).stderr
    assert "give --remote too" in run("fsck", "--download", code=2).stderr
