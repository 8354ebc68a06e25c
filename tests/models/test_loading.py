"""Where models are loaded from, what is fetched for that, and how long it stays."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    ResourceDoesNotExist,
    Unsupported,
)
from mlgit.models import sources
from mlgit.models.folder import open_folder, opened
from mlgit.objects import Entry
from mlgit.store.gitstore import GitStore
from mlgit.tracking import uri


class Reader(mlgit.pyfunc.PythonModel):
    """Opens its file when it predicts."""

    def load_context(self, context: Any) -> None:
        self.path = context.artifacts["words"]

    def predict(self, context: Any, model_input: Any) -> Any:
        with open(self.path) as f:
            return f.read()


class Echo(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any) -> Any:
        return model_input


def _store() -> GitStore:
    return uri.store_for()


def _object(info: Any, name: str) -> str:
    """The path of a logged model's object."""
    entries = _store().artifact(info.run_id, info.artifact_path)
    assert isinstance(entries, dict)
    return _store().objects.path(entries[name].sha256)


def _workspaces(repo: Path) -> list[str]:
    folder = repo / ".git" / "mlgit" / "models"
    return os.listdir(folder) if folder.is_dir() else []


@pytest.fixture
def reader(in_repo: Path) -> Any:
    Path("words.txt").write_text("hey")
    Path("words").mkdir()
    with mlgit.start_run():
        return mlgit.pyfunc.log_model("m", python_model=Reader(), artifacts={"words": "words.txt"})


def test_the_forms_of_a_runs_uri(reader: Any) -> None:
    artifact_uri = mlgit.get_run(reader.run_id).info.artifact_uri
    for form in (
        reader.model_uri,
        f"runs:/{reader.run_id}/m/",
        f"{artifact_uri}/m",
    ):
        assert mlgit.pyfunc.load_model(form).predict(None) == "hey"
    with mlgit.start_run(run_id=reader.run_id):
        assert mlgit.pyfunc.load_model(mlgit.get_artifact_uri("m")).predict(None) == "hey"


def test_files_stay_as_long_as_who_may_open_them(reader: Any, in_repo: Path) -> None:
    loaded = mlgit.pyfunc.load_model(reader.model_uri)
    model = loaded.unwrap_python_model()
    assert len(_workspaces(in_repo)) == 1
    del loaded
    gc.collect()
    assert model.predict(None, None) == "hey"
    del model
    gc.collect()
    assert _workspaces(in_repo) == []


def test_files_that_nobody_needs_are_removed_at_once(in_repo: Path) -> None:
    info = mlgit.log_model(Echo(), "m", metadata={"a": 1})
    loaded = mlgit.pyfunc.load_model(info.model_uri)
    assert _workspaces(in_repo) == []
    assert loaded.predict(1) == 1
    mlgit.models.get_model_info(info.model_uri)
    assert _workspaces(in_repo) == []


def test_nothing_is_left_by_a_load_that_fails(reader: Any, in_repo: Path) -> None:
    with pytest.raises(ResourceDoesNotExist, match="no flavor 'sklearn'"):
        mlgit.sklearn.load_model(reader.model_uri)
    os.unlink(_object(reader, "python_model.pkl"))
    with pytest.raises(ResourceDoesNotExist):
        mlgit.pyfunc.load_model(reader.model_uri)
    assert _workspaces(in_repo) == []


def test_files_are_links_and_can_not_be_written(reader: Any) -> None:
    model = mlgit.pyfunc.load_model(reader.model_uri).unwrap_python_model()
    info = os.stat(model.path)
    assert info.st_nlink == 2
    assert info.st_mode & 0o222 == 0


def test_only_what_is_needed_is_put_on_disk(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[str] = []
    place = sources.place

    def watched(objects: Any, entries: dict[str, Entry], target: str, **options: Any) -> None:
        placed.append(target.partition("/model/")[2])
        place(objects, entries, target, **options)

    monkeypatch.setattr(sources, "place", watched)
    mlgit.pyfunc.load_model(reader.model_uri)
    assert placed == ["artifacts/words.txt"]  # a pickle is read where it lies


def test_only_what_is_needed_is_fetched(reader: Any) -> None:
    """The pickle isn't here, and nobody asks for it to read MLmodel or requirements."""
    os.unlink(_object(reader, "python_model.pkl"))
    assert mlgit.models.get_model_info(reader.model_uri).model_uuid == reader.model_uuid
    path = mlgit.pyfunc.get_model_dependencies(reader.model_uri)
    assert "cloudpickle==" in Path(path).read_text()
    with pytest.raises(ResourceDoesNotExist):
        mlgit.pyfunc.load_model(reader.model_uri)


def test_only_what_is_needed_comes_from_the_remote(reader: Any, tmp_path: Path) -> None:
    from mlgit.store import remotes

    store = _store()
    entries = store.artifact(reader.run_id, "m")
    assert isinstance(entries, dict)
    shutil.copytree(store.objects.root, tmp_path / "remote" / "objects")
    remotes.add(store.repo, "storage", str(tmp_path / "remote"), local=True)
    shutil.rmtree(f"{store.objects.root}/sha256")
    assert mlgit.models.get_model_info(reader.model_uri).model_uuid == reader.model_uuid
    here = {name for name, entry in entries.items() if store.objects.has(entry.sha256)}
    assert here == {"MLmodel"}
    assert mlgit.pyfunc.load_model(reader.model_uri).predict(None) == "hey"
    here = {name for name, entry in entries.items() if store.objects.has(entry.sha256)}
    assert here == {"MLmodel", "artifacts", "python_model.pkl"}


def test_damaged_bytes_are_never_loaded(in_repo: Path) -> None:
    for name in ("python_model.pkl", "MLmodel"):
        info = mlgit.log_model(Echo(), f"m-{name}")
        path = _object(info, name)
        os.chmod(path, 0o644)
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(CorruptData, match="is damaged"):
            mlgit.pyfunc.load_model(info.model_uri)


def test_a_download_folder(reader: Any, tmp_path: Path) -> None:
    loaded = mlgit.pyfunc.load_model(reader.model_uri, dst_path=str(tmp_path / "here"))
    assert (tmp_path / "here" / "m" / "MLmodel").is_file()
    words = tmp_path / "here" / "m" / "artifacts" / "words.txt"
    # The person's own: no link to an object, and writable.
    assert words.stat().st_nlink == 1
    words.write_text("changed")
    assert loaded.predict(None) == "changed"
    assert mlgit.pyfunc.load_model(reader.model_uri).predict(None) == "hey"


def test_paths_and_urls(in_repo: Path) -> None:
    import fsspec

    mlgit.pyfunc.save_model("saved", python_model=Echo())
    fs = fsspec.filesystem("memory")
    fs.put(str(in_repo / "saved"), "/bucket/model", recursive=True)
    for form in (
        "saved",
        Path("saved"),
        str(in_repo / "saved"),
        f"file://{in_repo}/saved",
        "memory://bucket/model",
    ):
        loaded = mlgit.pyfunc.load_model(form)  # type: ignore[arg-type]
        assert loaded.predict([1]) == [1]
    for missing in ("memory://bucket/other", "file:///not/there"):
        with pytest.raises(ResourceDoesNotExist, match="No model at"):
            mlgit.pyfunc.load_model(missing)
    with pytest.raises((Unsupported, MissingDependency)):
        mlgit.pyfunc.load_model("nosuch://a/b")


def test_code_and_artifacts_behind_a_url(in_repo: Path) -> None:
    import fsspec

    Path("words.txt").write_text("far")
    Path("helper_of_url.py").write_text("ANSWER = 42\n")
    mlgit.pyfunc.save_model(
        "saved",
        python_model=Reader(),
        artifacts={"words": "words.txt"},
        code_paths=["helper_of_url.py"],
    )
    fsspec.filesystem("memory").put(f"{in_repo}/saved", "/bucket/reader", recursive=True)
    assert mlgit.pyfunc.load_model("memory://bucket/reader").predict(None) == "far"
    import helper_of_url  # type: ignore[import-not-found]

    assert helper_of_url.ANSWER == 42


def test_a_bucket_that_names_files_outside(in_repo: Path) -> None:
    import fsspec

    Path("words").mkdir()
    Path("words/a.txt").write_text("a")
    mlgit.pyfunc.save_model("saved", python_model=Reader(), artifacts={"words": "words"})
    fs = fsspec.filesystem("memory")
    fs.put(f"{in_repo}/saved", "/bucket/evil", recursive=True)
    fs.store["/bucket/evil/artifacts/words/../../../../sprung"] = fs.store["/bucket/evil/MLmodel"]
    with pytest.raises(CorruptData, match="outside the model"):
        mlgit.pyfunc.load_model("memory://bucket/evil")


# -- revisions


def test_as_of_any_revision(in_repo: Path, git: Callable[..., str]) -> None:
    for answer in ("one", "two"):
        if Path("models").exists():
            git(in_repo, "rm", "-rq", "models")
        Path("words.txt").write_text(answer)
        mlgit.pyfunc.save_model(
            "models/words", python_model=Reader(), artifacts={"words": "words.txt"}
        )
        git(in_repo, "add", "models")
        git(in_repo, "commit", "-qm", answer)
        git(in_repo, "tag", f"v/{answer}")
    git(in_repo, "branch", "feature/x", "v/one")
    first = git(in_repo, "rev-parse", "v/one")
    wanted = {
        "mlgit:/main/models/words": "two",
        "mlgit:/HEAD/models/words": "two",
        "mlgit:/HEAD~1/models/words": "one",
        "mlgit:/v/one/models/words": "one",
        "mlgit:/feature/x/models/words": "one",
        f"mlgit:/{first}/models/words": "one",
        f"mlgit:/{first[:12]}/models/words": "one",
    }
    for form, answer in wanted.items():
        assert mlgit.pyfunc.load_model(form).predict(None) == answer
    for form in ("mlgit:/none/models/words", "mlgit:/main/models/other", "mlgit:/main/models"):
        with pytest.raises(ResourceDoesNotExist):
            mlgit.pyfunc.load_model(form)


def test_as_data_of_a_revision(in_repo: Path, git: Callable[..., str]) -> None:
    """The folder isn't in Git: a pointer names it."""
    Path("words.txt").write_text("data")
    mlgit.pyfunc.save_model("big", python_model=Reader(), artifacts={"words": "words.txt"})
    done = subprocess.run(
        [sys.executable, "-m", "mlgit", "add", "big"],
        cwd=in_repo,
        env={**os.environ, "PYTHONPATH": str(Path(mlgit.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    git(in_repo, "add", "big.mlgit", ".gitignore")
    git(in_repo, "commit", "-qm", "big")
    assert mlgit.pyfunc.load_model("mlgit:/main/big").predict(None) == "data"


# -- the folder itself


def test_a_file_is_not_a_model(reader: Any) -> None:
    with pytest.raises(InvalidParameterValue, match="is a file, not a model"):
        mlgit.pyfunc.load_model(f"{reader.model_uri}/MLmodel")
    with pytest.raises(ResourceDoesNotExist):
        mlgit.pyfunc.load_model(f"runs:/{reader.run_id}/other")
    with pytest.raises(InvalidParameterValue):
        mlgit.pyfunc.load_model(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    ["../words.txt", "/etc/passwd", "a/../../x", "~/x", "", None, 3, ["a"], "a\0b", "C:/x", "a\\..\\b"],
)  # fmt: skip
def test_paths_that_lead_out_of_the_folder(path: object, in_repo: Path) -> None:
    mlgit.pyfunc.save_model("saved", python_model=Echo())
    with opened("saved") as folder:
        for ask in (folder.file, folder.read, folder.load_pickle):
            with pytest.raises(CorruptData, match="isn't a path inside the model"):
                ask(path)


@given(st.text("a./\\\\~:-\0 ", max_size=12))
def test_any_path_is_inside_or_refused(path: str) -> None:
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(f"{top}/m/a/a")
        Path(top, "m", "MLmodel").write_text("flavors: {}")
        Path(top, "a").write_text("outside")
        with opened(f"{top}/m") as folder:
            try:
                found = folder.file(path)
            except (CorruptData, ResourceDoesNotExist):
                return
        assert os.path.realpath(found).startswith(os.path.realpath(f"{top}/m"))


def test_links_that_lead_out_of_the_folder(in_repo: Path) -> None:
    mlgit.pyfunc.save_model("saved", python_model=Echo())
    Path("secret").write_text("secret")
    os.symlink("../secret", "saved/link")
    os.symlink("MLmodel", "saved/inside")
    with opened("saved") as folder:
        for ask in (folder.file, folder.read, folder.load_pickle):
            with pytest.raises(CorruptData, match="leads out"):
                ask("link")
        assert folder.file("inside").endswith("MLmodel")


def test_what_mlmodel_names_must_be_there(reader: Any) -> None:
    with opened(reader.model_uri) as folder:
        with pytest.raises(ResourceDoesNotExist):
            folder.file("none")
    os.makedirs("copy")
    with opened(reader.model_uri, dst_path="copy") as folder:
        os.unlink("copy/m/python_model.pkl")
    with pytest.raises(ResourceDoesNotExist, match=r"lacks python_model\.pkl"):
        mlgit.pyfunc.load_model("copy/m")


def test_a_folder_within_one_that_was_fetched(reader: Any) -> None:
    folder = open_folder(reader.model_uri)
    above = folder.file("artifacts")
    assert folder.file("artifacts/words.txt") == f"{above}/words.txt"
    with pytest.raises(ResourceDoesNotExist, match="lacks artifacts/other"):
        folder.file("artifacts/other")
    whole = folder.everything()
    assert sorted(os.listdir(whole)) == [
        "MLmodel", "artifacts", "conda.yaml", "python_env.yaml", "python_model.pkl",
        "requirements.txt",
    ]  # fmt: skip
    folder.close()
    assert not os.path.exists(whole)
    # What is asked for later comes anew.
    assert Path(folder.file("artifacts/words.txt")).read_text() == "hey"
    folder.close()


def test_on_another_device_files_are_copied(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: Any, **__: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    loaded = mlgit.pyfunc.load_model(reader.model_uri)
    assert loaded.predict(None) == "hey"
    assert os.stat(loaded.unwrap_python_model().path).st_nlink == 1


def test_a_repository_that_may_only_be_read(reader: Any, in_repo: Path) -> None:
    """What can't be put beside the objects is put where the system has its temporary files."""
    (in_repo / ".git" / "mlgit" / "models").rmdir()
    (in_repo / ".git" / "mlgit" / "models").write_text("in the way")
    loaded = mlgit.pyfunc.load_model(reader.model_uri)
    assert loaded.predict(None) == "hey"
    assert str(in_repo) not in loaded.unwrap_python_model().path
