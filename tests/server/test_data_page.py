"""Tracked data, remotes, and what takes the space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hostile import PAYLOADS, check
from registered import register

from mlgit.git import Repository
from mlgit.objects import Entry
from mlgit.server.app import create_app
from mlgit.store import remotes
from mlgit.store.gitstore import GitStore
from mlgit.store.pointers import Pointer, format_pointer

Git = Callable[..., str]


def commit(git: Git, folder: Path, *pointers: Pointer) -> None:
    """Commit pointers."""
    for pointer in pointers:
        (folder / f"{pointer.path}.mlgit").write_bytes(format_pointer(pointer))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "data")


def test_tracked_data_is_that_of_the_checked_out_commit(
    client: FlaskClient, store: GitStore, git: Git, repo_dir: Path
) -> None:
    origin = {"url": "https://ada:hunter2@example.com/x.csv?token=hunter2"}
    commit(
        git,
        repo_dir,
        Pointer("images", Entry("d", "ab" * 32, 5 << 20, 12)),
        Pointer("x.csv", Entry("f", "cd" * 32, 1024), origin),
    )
    (repo_dir / "later.mlgit").write_bytes(
        format_pointer(Pointer("later", Entry("f", "ef" * 32, 1)))
    )
    page = client.get("/data").text
    assert "images/" in page and "5.0 MiB" in page and ">12<" in page
    assert "x.csv" in page and "example.com/x.csv" in page and "hunter2" not in page
    assert "later" not in page and "2 paths" in page


def test_without_data_it_says_how_to_begin(client: FlaskClient, tmp_path: Path, git: Git) -> None:
    page = client.get("/data")
    assert page.status_code == 200 and "mlgit add data/" in page.text
    assert "git remote add origin" in page.text
    for options in ([], ["--bare"]):
        folder = tmp_path / f"empty{len(options)}"
        git(tmp_path, "init", "-q", *options, str(folder))
        store = GitStore(Repository.open(str(folder)))
        fresh = create_app(store).test_client()
        for path in ("/data", "/data/space", "/models"):
            assert fresh.get(path).status_code == 200, (options, path)
        store.close()


def test_pointers_that_cannot_be_read_are_said(
    client: FlaskClient, git: Git, repo_dir: Path
) -> None:
    (repo_dir / "broken.mlgit").write_text("format: 1\npath: ../../etc/passwd\n")
    (repo_dir / "newer.mlgit").write_text("format: 99\n")
    commit(git, repo_dir, Pointer("fine", Entry("f", "ab" * 32, 1)))
    page = client.get("/data")
    assert page.status_code == 200 and "fine" in page.text
    assert "broken.mlgit" in page.text and "newer.mlgit" in page.text


def test_credentials_of_remotes_are_never_shown(
    client: FlaskClient, store: GitStore, git: Git, repo_dir: Path
) -> None:
    git(repo_dir, "remote", "add", "origin", "https://ada:hunter2@example.com/repo.git")
    options = {"key": "hunter2", "client_kwargs": {"aws_secret_access_key": "hunter2"}}
    more = {"endpoint_url": "https://ada:hunter2@minio.example"}
    remotes.add(store.repo, "s3", "s3://hunter2:hunter2@bucket/x", {**options, **more}, local=True)
    page = client.get("/data").text
    assert "example.com/repo.git" in page and "bucket/x" in page and "minio.example" in page
    assert "hunter2" not in page


@pytest.mark.parametrize("text", ["format: 99\n", "remotes: [", "remotes: {a: 1}\nformat: 1\n"])
def test_a_configuration_that_cannot_be_read_is_said(
    client: FlaskClient, repo_dir: Path, text: str
) -> None:
    (repo_dir / ".mlgit").mkdir()
    (repo_dir / ".mlgit" / "config.yaml").write_text(text)
    answer = client.get("/data")
    assert answer.status_code == 200 and ".mlgit/config.yaml" in answer.text


def test_what_takes_the_space_is_counted_and_counted_again(
    client: FlaskClient, store: GitStore, make_run: Callable[..., str]
) -> None:
    register(store, make_run, "Big Model")
    page = client.get("/data/space").text
    assert "Artifacts and data in this clone" in page and "Big Model" in page and "Default" in page
    make_run("more", artifacts={"x.bin": bytes(3 << 20)})
    assert "3.0 MiB" not in client.get("/data/space").text
    again = client.get("/data/space/again", follow_redirects=True).text
    assert "3.0 MiB" in again


def test_names_of_data_with_markup_are_text(client: FlaskClient, git: Git, repo_dir: Path) -> None:
    names = [payload.replace("/", "_").replace("\\", "_") for payload in PAYLOADS]
    names = [name for name in names if not name.startswith(("data:", "javascript:"))]
    commit(
        git,
        repo_dir,
        *(
            Pointer(name, Entry("f", f"{n:064x}", n), {"url": f"https://x.example/{payload}"})
            for n, (name, payload) in enumerate(zip(names, PAYLOADS, strict=False))
        ),
    )
    page = client.get("/data").text
    check(page, "/data")
    assert f"{len(names)} paths" in page
