"""What a model needs: inferred from its pickle, given by the person, pinned."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import mlgit
from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist
from mlgit.models import distributions, requirements
from mlgit.models.requirements import MLFLOW, inferred, merged, name_of, parse


class Echo(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any) -> Any:
        return model_input


def _lines(folder: str) -> list[str]:
    return Path(folder, "requirements.txt").read_text().splitlines()


def _save(**options: Any) -> list[str]:
    mlgit.pyfunc.save_model("saved", python_model=options.pop("model", Echo()), **options)
    return _lines("saved")


def test_what_a_pickle_imports_is_pinned(in_repo: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LinearRegression

    mlgit.sklearn.save_model(LinearRegression().fit([[1], [2]], [1, 2]), "saved")
    lines = _lines("saved")
    assert lines[0] == MLFLOW
    assert lines[1:] == sorted(lines[1:])
    for name in ("scikit-learn", "numpy", "scipy", "cloudpickle"):
        assert f"{name}=={metadata.version(name)}" in lines
    assert not any(line.startswith(("pandas", "mlgit", "matplotlib")) for line in lines)


def test_imports_within_functions_count(in_repo: Path) -> None:
    def predict(model_input: Any) -> Any:
        import yaml

        def inner() -> Any:
            from hypothesis import strategies

            return strategies

        return yaml.safe_dump(inner())

    predict.__module__ = "__main__"
    lines = _save(model=predict)
    assert f"pyyaml=={metadata.version('pyyaml')}" in lines
    assert f"hypothesis=={metadata.version('hypothesis')}" in lines


def test_modules_that_functions_use_count(in_repo: Path) -> None:
    def predict(model_input: Any) -> Any:
        return yaml.safe_dump(model_input)

    predict.__module__ = "__main__"
    assert f"pyyaml=={metadata.version('pyyaml')}" in _save(model=predict)


def test_code_files_are_read(in_repo: Path) -> None:
    Path("model.py").write_text(
        "import mlgit, yaml\nfrom hypothesis import given\n"
        "mlgit.models.set_model(lambda model_input: yaml.safe_dump(model_input))\n"
    )
    lines = _save(model="model.py")
    assert {line.split("==")[0] for line in lines} >= {"pyyaml", "hypothesis", "cloudpickle"}
    assert not any(line.startswith("mlgit") for line in lines)


@pytest.mark.parametrize("modules", [set(), {"os", "sys", "__main__"}, {"no.such.module"}])
def test_what_no_distribution_brings_counts_nothing(modules: set[str]) -> None:
    assert inferred(modules) == []


def test_given_requirements(in_repo: Path) -> None:
    Path("more").mkdir()
    Path("more/base.txt").write_text("# base\nsix==1.16\n-c limits.txt\n")
    Path("more/limits.txt").write_text("urllib3<3\n")
    Path("r.txt").write_text("-r more/base.txt\nattrs \\\n  >=20  # a note\n\n")
    lines = _save(pip_requirements="r.txt")
    assert lines == [MLFLOW, "six==1.16", "attrs   >=20", "-c constraints.txt"]
    assert Path("saved/constraints.txt").read_text() == "urllib3<3\n"
    conda = yaml.safe_load(Path("saved/conda.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == lines


def test_extra_requirements_go_over_the_inferred(in_repo: Path) -> None:
    lines = _save(
        extra_pip_requirements=["six", "cloudpickle>=2", "-r more.txt"]
        if False
        else ["six", "cloudpickle>=2"]
    )
    assert lines == [MLFLOW, "six", "cloudpickle>=2"]


def test_requirements_that_name_mlflow_stay(in_repo: Path) -> None:
    assert _save(pip_requirements=["mlflow==3.17.2", "six"]) == ["mlflow==3.17.2", "six"]


@pytest.mark.parametrize("as_file", [False, True])
def test_a_conda_environment(as_file: bool, in_repo: Path) -> None:
    conda: dict[str, Any] = {
        "name": "mine",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.10.4", "pip", {"pip": ["six==1.16"]}],
    }
    Path("mine.yaml").write_text(yaml.safe_dump(conda))
    assert _save(conda_env="mine.yaml" if as_file else conda) == ["six==1.16"]
    assert yaml.safe_load(Path("saved/conda.yaml").read_text()) == conda
    assert yaml.safe_load(Path("saved/python_env.yaml").read_text()) == {
        "python": "3.10.4",
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }


def test_files_that_can_not_be_right(in_repo: Path) -> None:
    Path("loop.txt").write_text("-r loop.txt\n")
    Path("list.yaml").write_text("- a\n")
    Path("bad.yaml").write_text("a: [\n")
    Path("bytes.txt").write_bytes(b"\xff\xfe\x00")
    for options, error in (
        ({"pip_requirements": "loop.txt"}, InvalidParameterValue),
        ({"pip_requirements": "none.txt"}, ResourceDoesNotExist),
        ({"pip_requirements": "bytes.txt"}, InvalidParameterValue),
        ({"pip_requirements": ["-r none.txt"]}, ResourceDoesNotExist),
        ({"pip_requirements": ["a\nb"]}, InvalidParameterValue),
        ({"conda_env": "list.yaml"}, InvalidParameterValue),
        ({"conda_env": "bad.yaml"}, InvalidParameterValue),
        ({"conda_env": {}, "extra_pip_requirements": ["a"]}, InvalidParameterValue),
    ):
        with pytest.raises(error):
            _save(**options)
    assert not os.path.exists("saved")


def test_model_dependencies(in_repo: Path) -> None:
    info = mlgit.log_model(Echo(), "m", extra_pip_requirements=["six"])
    path = mlgit.pyfunc.get_model_dependencies(info.model_uri)
    assert "six" in Path(path).read_text().splitlines()
    conda = mlgit.pyfunc.get_model_dependencies(info.model_uri, format="conda")
    assert yaml.safe_load(Path(conda).read_text())["name"] == "mlflow-env"
    with pytest.raises(InvalidParameterValue):
        mlgit.pyfunc.get_model_dependencies(info.model_uri, format="poetry")


def test_the_table_of_an_environment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path))
    distributions._table_of.cache_clear()
    first = distributions._table()
    (kept,) = (tmp_path / "mlgit" / "environments").iterdir()
    assert json.loads(kept.read_text()) == first
    distributions._table_of.cache_clear()
    monkeypatch.setattr(distributions, "_read", lambda: pytest.fail("it is read again"))
    assert distributions._table() == first
    # What is installed changes a folder's time, and the table's name with it.
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    changed = distributions._state()
    assert changed != kept.stem
    os.utime(folder, (1, 1))
    assert distributions._state() != changed


def test_a_damaged_table_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGIT_CACHE_HOME", str(tmp_path))
    distributions._table_of.cache_clear()
    path = tmp_path / "mlgit" / "environments" / f"{distributions._state()}.json"
    path.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"format": 99}', "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        distributions._table_of.cache_clear()
        assert distributions.of_module("yaml") == ["PyYAML"]
    distributions._table_of.cache_clear()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a", "a"), ("A.b_C==1", "a-b-c"), ("a[x]>=1", "a"), ("a ; python_version<'3'", "a"),
        ("a @ git+https://x/y", "a"), ("-e .", None), ("git+https://x/y", None), ("./a.whl", None),
    ],
)  # fmt: skip
def test_the_name_of_a_requirement(line: str, name: str | None) -> None:
    assert name_of(line) == name


LINES = st.lists(st.from_regex(r"[a-z]{1,3}(==[0-9])?", fullmatch=True), max_size=6)


@given(LINES, LINES)
def test_merging_keeps_the_second_and_what_it_does_not_name(
    below: list[str], above: list[str]
) -> None:
    found = merged(below, above)
    assert found[len(found) - len(above) :] == above
    named = {name_of(line) for line in above}
    assert found[: len(found) - len(above)] == [x for x in below if name_of(x) not in named]


@given(st.lists(st.text("ab=<>1.# -", max_size=10), max_size=5))
def test_any_lines_parse_or_are_refused(lines: list[str]) -> None:
    try:
        found = parse(lines)
    except (InvalidParameterValue, ResourceDoesNotExist):
        return
    assert all(line == line.strip() and "\n" not in line for line in found.lines)


def test_what_is_required_only_by_an_extra_does_not_count() -> None:
    assert distributions._required(["a>=1", "b; extra == 'x'", "c ; python_version>'3'"]) == [
        "a",
        "c",
    ]
    assert requirements.MLFLOW.startswith("mlflow")
