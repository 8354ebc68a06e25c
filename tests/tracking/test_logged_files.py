"""Artifacts: files, folders, text, dicts, figures, images and tables, and where they may be."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlgit
from mlgit import MlflowException, MlgitClient


@pytest.fixture(autouse=True)
def run(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An active run in a repository."""
    monkeypatch.chdir(repo_dir)
    with mlgit.start_run() as active:
        yield active


def paths(run: Any, folder: str = "") -> list[str]:
    """All files below a folder of the run."""
    found = []
    for info in MlgitClient().list_artifacts(run.info.run_id, folder):
        found += paths(run, info.path) if info.is_dir else [info.path]
    return found


def read(run: Any, path: str) -> bytes:
    return Path(mlgit.artifacts.download_artifacts(f"runs:/{run.info.run_id}/{path}")).read_bytes()


# -- files and folders


def test_files_and_folders(run: Any, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "sub" / "b.txt").write_text("b")
    (tmp_path / "in" / "empty").mkdir()
    mlgit.log_artifact(str(tmp_path / "in" / "a.txt"))
    mlgit.log_artifact(tmp_path / "in" / "a.txt", "deep/er")  # type: ignore[arg-type]
    mlgit.log_artifact(str(tmp_path / "in"))
    mlgit.log_artifacts(str(tmp_path / "in"))
    mlgit.log_artifacts(tmp_path / "in", "all")  # type: ignore[arg-type]
    expected = "a.txt all/a.txt all/sub/b.txt deep/er/a.txt in/a.txt in/sub/b.txt sub/b.txt"
    assert sorted(paths(run)) == expected.split()
    assert read(run, "all/sub/b.txt") == b"b"


def test_a_path_logged_again_is_the_new_file(run: Any) -> None:
    mlgit.log_text("old", "x/t.txt")
    mlgit.log_text("new", "x/t.txt")
    mlgit.log_text("other", "x/u.txt")
    assert read(run, "x/t.txt") == b"new"
    assert paths(run) == ["x/t.txt", "x/u.txt"]


def test_text_streams_and_bytes_are_kept_exactly(run: Any) -> None:
    mlgit.log_text("täxt\r\n\0", "t.txt")
    mlgit.log_stream(io.BytesIO(b"\x00\xff"), "s.bin")
    assert read(run, "t.txt") == "täxt\r\n\0".encode()
    assert read(run, "s.bin") == b"\x00\xff"
    assert mlgit.artifacts.load_text(f"runs:/{run.info.run_id}/t.txt") == "täxt\r\n\0"


@pytest.mark.parametrize("name", ["d.json", "d.yaml", "d.yml", "d", "d.txt"])
def test_dicts_come_back(run: Any, name: str) -> None:
    data = {"k": [1, 2.5, None, True], "n": {"deep": "ü"}}
    mlgit.log_dict(data, f"x/{name}")
    assert mlgit.artifacts.load_dict(f"runs:/{run.info.run_id}/x/{name}") == data


def test_dicts_of_numpy_values(run: Any) -> None:
    np = pytest.importorskip("numpy")
    for name in ("d.json", "d.yaml"):
        mlgit.log_dict({"x": np.float64(0.5), "i": int(np.int64(2))}, name)
        found = mlgit.artifacts.load_dict(f"runs:/{run.info.run_id}/{name}")
        assert float(found["x"]) == 0.5


def test_files_after_the_end_of_the_run(run: Any) -> None:
    mlgit.end_run()
    MlgitClient().log_text(run.info.run_id, "late", "late.txt")
    assert read(run, "late.txt") == b"late"
    assert mlgit.active_run() is None


def test_artifact_uris(run: Any, tmp_path: Path) -> None:
    mlgit.log_text("x", "a/b.txt")
    uri = mlgit.get_artifact_uri()
    assert uri == run.info.artifact_uri
    assert mlgit.get_artifact_uri("a/b.txt") == f"{uri}/a/b.txt"
    assert mlgit.artifacts.load_text(f"{uri}/a/b.txt") == "x"
    assert [i.path for i in mlgit.artifacts.list_artifacts(f"{uri}/a")] == ["a/b.txt"]
    (tmp_path / "local.txt").write_text("local")
    assert mlgit.artifacts.load_text(str(tmp_path / "local.txt")) == "local"
    assert mlgit.artifacts.load_text(f"file://{tmp_path}/local.txt") == "local"
    with pytest.raises(MlflowException):
        mlgit.artifacts.load_text("s3://bucket/x")


def test_downloads_have_their_own_name_alone(run: Any, tmp_path: Path) -> None:
    mlgit.log_text("x", "deep/er/a.txt")
    client = MlgitClient()
    run_id = run.info.run_id
    assert client.download_artifacts(run_id, "deep/er/a.txt", str(tmp_path)) == str(
        tmp_path / "a.txt"
    )
    assert client.download_artifacts(run_id, "deep/er", str(tmp_path)) == str(tmp_path / "er")
    assert client.download_artifacts(run_id, "", str(tmp_path)) == str(tmp_path)
    assert (tmp_path / "deep" / "er" / "a.txt").read_text() == "x"
    with pytest.raises(MlflowException):
        client.download_artifacts(run_id, "deep", str(tmp_path / "none"))
    made = mlgit.artifacts.download_artifacts(
        run_id=run_id, artifact_path="deep", dst_path=str(tmp_path / "made")
    )
    assert os.listdir(made) == ["er"]


# -- paths that lead elsewhere

ELSEWHERE = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a/./../../x",
    "..",
    "a\0b",
    "..\\x",
    "C:\\x",
    "./x",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_paths_that_lead_out_are_refused(run: Any, path: str, tmp_path: Path) -> None:
    client, run_id = MlgitClient(), run.info.run_id
    source = tmp_path / "f.txt"
    source.write_text("x")
    for call in (
        lambda: mlgit.log_text("x", path),
        lambda: mlgit.log_dict({}, path),
        lambda: mlgit.log_artifact(str(source), path),
        lambda: mlgit.log_artifacts(str(tmp_path), path),
        lambda: mlgit.log_stream(io.BytesIO(), path),
        lambda: mlgit.get_artifact_uri(path),
        lambda: client.list_artifacts(run_id, path),
        lambda: client.download_artifacts(run_id, path),
        lambda: mlgit.artifacts.load_text(f"runs:/{run_id}//{path}"),
        lambda: mlgit.artifacts.download_artifacts(run_id=run_id, artifact_path=path),
    ):
        with pytest.raises(MlflowException) as caught:
            call()
        assert caught.value.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
    assert paths(run) == []


def test_links_in_a_folder_do_not_lead_out_of_it(run: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    (folder / "loop").symlink_to(folder)
    try:
        mlgit.log_artifacts(str(folder))
    except MlflowException:
        return
    # A link that is followed is a copy of its file; it is never a link in a download.
    target = tmp_path / "target"
    target.mkdir()
    MlgitClient().download_artifacts(run.info.run_id, "", str(target))
    assert not any(p.is_symlink() for p in target.rglob("*"))


@pytest.mark.parametrize("whole", [False, True])
def test_of_a_folder_with_what_cannot_be_logged_the_rest_is(
    run: Any, tmp_path: Path, whole: bool
) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub/large.bin").write_bytes(bytes(2 << 20))
    (folder / "dangling").symlink_to("nowhere")
    (folder / "sub/loop").symlink_to(folder)
    os.mkfifo(folder / "sub/pipe")
    log = mlgit.log_artifact if whole else mlgit.log_artifacts
    with pytest.raises(MlflowException, match=r"dangling.*2 more") as caught:
        log(str(folder))
    assert "everything else" in caught.value.hint
    before = "folder/" if whole else ""
    assert sorted(paths(run)) == [f"{before}a.txt", f"{before}sub/large.bin"]


# -- images


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (4, 3, 3), (4, 3, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_arrays_are_images(run: Any, shape: tuple[int, ...], dtype: str, suffix: str) -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    array = np.ones(shape, dtype=dtype)
    if dtype in ("uint8", "int64"):
        array = array * 255
    mlgit.log_image(array, f"i.{suffix}")
    image = mlgit.artifacts.load_image(f"runs:/{run.info.run_id}/i.{suffix}")
    assert image.size == (3, 4)
    if suffix == "png":
        assert np.asarray(image).min() == 255


def test_images_of_pil_and_by_key(run: Any) -> None:
    pil = pytest.importorskip("PIL.Image")
    image = pil.new("RGB", (3, 2), (1, 2, 3))
    mlgit.log_image(image, "x/i.png")
    mlgit.log_image(image, key="dogs", step=3)
    mlgit.log_image(image, key="a/b", step=4, timestamp=7)
    loaded = mlgit.artifacts.load_image(f"runs:/{run.info.run_id}/x/i.png")
    assert loaded.getpixel((0, 0)) == (1, 2, 3)
    names = paths(run, "images")
    assert any(name.startswith("images/dogs%step%3%timestamp%") for name in names)
    assert any(name.startswith("images/a#b%step%4%timestamp%7%") for name in names)


def test_what_is_no_image_is_refused() -> None:
    np = pytest.importorskip("numpy")
    image = pytest.importorskip("PIL.Image").new("L", (1, 1))
    for array in (
        np.zeros(3),
        np.zeros((2, 2, 2)),
        np.full((2, 2), 256),
        np.full((2, 2), -1),
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
        np.full((2, 2), "x"),
        "x",
    ):
        with pytest.raises(MlflowException):
            mlgit.log_image(array, "i.png")
    for arguments in ({}, {"artifact_file": "i.png", "key": "k"}, {"artifact_file": "i.xyz"}):
        with pytest.raises(MlflowException):
            mlgit.log_image(image, **arguments)


# -- figures


@pytest.mark.parametrize("name", ["f.png", "f.svg", "f.pdf", "x/f.jpg"])
def test_figures_of_matplotlib(run: Any, name: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([0, 1], [2, 3])
    mlgit.log_figure(figure, name, save_kwargs={"dpi": 50})
    plt.close(figure)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "jpg": b"\xff\xd8"}
    assert read(run, name).startswith(start[name[-3:]])
    with pytest.raises(MlflowException):
        mlgit.log_figure(figure, "f.docx")


def test_figures_of_plotly(run: Any) -> None:
    graphs = pytest.importorskip("plotly.graph_objects")
    figure = graphs.Figure(graphs.Scatter(x=[1, 2], y=[3, 4]))
    mlgit.log_figure(figure, "f.html")
    assert b"<html>" in read(run, "f.html")
    with pytest.raises(MlflowException):
        mlgit.log_figure(figure, "f.docx")
    with pytest.raises(MlflowException):
        mlgit.log_figure("no figure", "f.png")


# -- tables


@pytest.mark.parametrize("name", ["t.json", "t.parquet"])
def test_rows_add_to_a_table(run: Any, name: str) -> None:
    pd = pytest.importorskip("pandas")
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    mlgit.log_table({"x": [1, 2], "y": ["a", "ü"]}, name)
    mlgit.log_table(pd.DataFrame({"x": [3], "y": ["c"]}), name)
    table = mlgit.load_table(name)
    assert list(table["x"]) == [1, 2, 3]
    assert list(table["y"]) == ["a", "ü", "c"]
    noted = json.loads(mlgit.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    assert noted == [{"path": name, "type": "table"}]


def test_tables_keep_texts_that_look_like_numbers_and_dates(run: Any) -> None:
    pytest.importorskip("pandas")
    data = {"code": ["007", "1e3"], "date": ["2020-01-01", None], "n": [0.5, None]}
    mlgit.log_table(data, "t.json")
    mlgit.log_table(data, "t.json")
    table = mlgit.load_table("t.json")
    assert list(table["code"]) == ["007", "1e3"] * 2
    assert table["date"][0] == "2020-01-01"
    assert table["n"].isna().sum() == 2


def test_tables_of_several_runs(run: Any) -> None:
    pytest.importorskip("pandas")
    mlgit.log_table({"x": 1, "y": "one row"}, "t.json")
    with mlgit.start_run(nested=True, run_name="second") as second:
        mlgit.log_table({"x": [2]}, "t.json")
    both = mlgit.load_table("t.json", extra_columns=["run_id", "run_name"])
    assert set(both["run_id"]) == {run.info.run_id, second.info.run_id}
    one = mlgit.load_table("t.json", run_ids=[second.info.run_id])
    assert one.to_dict("list") == {"x": [2]}
    for call in (
        lambda: mlgit.load_table("none.json"),
        lambda: mlgit.load_table("t.json", extra_columns=["nothing"]),
        lambda: mlgit.log_table({"x": [1]}, "t.csv"),
        lambda: mlgit.log_table([1], "t.json"),
    ):
        with pytest.raises(MlflowException):
            call()
