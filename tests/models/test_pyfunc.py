"""Models that are the person's own code, and the pyfunc face of all."""

from __future__ import annotations

import os
import pickletools
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import mlgit
from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    ResourceDoesNotExist,
    Unsupported,
)
from mlgit.models.code import ModelConfig, model_of_code
from mlgit.models.pickles import dump_pickle, load_pickle
from mlgit.pyfunc.python_model import FunctionModel, takes_context
from mlgit.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

SOURCE = str(Path(mlgit.__file__).resolve().parents[1])


class Full(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return [model_input, params, context.model_config]


class NoParams(mlgit.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any) -> Any:
        return [model_input, None, context.model_config]


class NoContext(mlgit.pyfunc.PythonModel):
    def predict(self, model_input: Any, params: Any = None) -> Any:
        return [model_input, params, {"a": 1}]


class DataOnly(mlgit.pyfunc.PythonModel):
    def predict(self, x: Any) -> Any:
        return [x, None, {"a": 1}]


class Keywords(mlgit.pyfunc.PythonModel):
    def predict(self, ctx: Any, data: Any, **kwargs: Any) -> Any:
        return [data, kwargs["params"], ctx.model_config]


def _round(model: Any, **options: Any) -> Any:
    mlgit.pyfunc.save_model("saved", python_model=model, **options)
    return mlgit.pyfunc.load_model("saved")


@pytest.mark.parametrize("kind", [Full, NoParams, NoContext, DataOnly, Keywords])
def test_the_forms_of_predict(kind: Any, in_repo: Path) -> None:
    schema = ParamSchema([ParamSpec("p", "long", 3)])
    signature = mlgit.models.ModelSignature(params=schema)
    loaded = _round(kind(), model_config={"a": 1}, signature=signature)
    takes = kind not in (NoParams, DataOnly)
    assert loaded.predict("x") == ["x", {"p": 3} if takes else None, {"a": 1}]
    assert loaded.predict("x", params={"p": 4})[1] == ({"p": 4} if takes else None)
    assert loaded("x")[0] == "x"


def test_functions(in_repo: Path) -> None:
    def plain(data: Any) -> Any:
        return ["plain", data]

    def with_params(data: Any, params: Any = None) -> Any:
        return [data, params]

    assert _round(plain).predict(3) == ["plain", 3]
    os.rename("saved", "first")
    signature = mlgit.models.ModelSignature(params=ParamSchema([ParamSpec("p", "long", 1)]))
    assert _round(with_params, signature=signature).predict(3, params={"p": 2}) == [3, {"p": 2}]


def test_what_a_loaded_model_tells(in_repo: Path) -> None:
    with mlgit.start_run() as run:
        info = mlgit.log_model(NoParams(), "m", model_config={"a": 1, "b": 1})
    loaded = mlgit.pyfunc.load_model(info.model_uri, model_config={"b": 2})
    assert isinstance(loaded.metadata, mlgit.models.Model)
    assert loaded.metadata.run_id == run.info.run_id
    assert loaded.loader_module == "mlflow.pyfunc.model"
    assert loaded.model_config == {"a": 1, "b": 2}
    assert loaded.predict(0)[2] == {"a": 1, "b": 2}
    assert isinstance(loaded.unwrap_python_model(), mlgit.pyfunc.PythonModel)
    assert loaded.get_raw_model() is loaded.unwrap_python_model()
    assert loaded.input_example is None
    assert loaded.model_id is None
    assert "artifact_path: m" in repr(loaded) and "mlflow.pyfunc.model" in repr(loaded)


def test_a_model_of_another_flavor_has_no_python_model(in_repo: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.dummy import DummyClassifier

    mlgit.sklearn.save_model(DummyClassifier().fit([[1]], [1]), "saved")
    loaded = mlgit.pyfunc.load_model("saved")
    assert isinstance(loaded.get_raw_model(), DummyClassifier)
    with pytest.raises(InvalidParameterValue, match=r"mlflow\.sklearn"):
        loaded.unwrap_python_model()
    with pytest.raises(InvalidParameterValue, match="predict as a stream"):
        loaded.predict_stream([[1]])


def test_streams(in_repo: Path) -> None:
    class Words(mlgit.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any) -> Any:
            return list(self.predict_stream(context, model_input))

        def predict_stream(self, context: Any, model_input: Any) -> Iterator[Any]:
            yield from model_input.split()

    Words.__module__ = "__main__"
    loaded = _round(Words())
    assert list(loaded.predict_stream("a b")) == loaded.predict("a b") == ["a", "b"]
    assert loaded.metadata.flavors["python_function"]["streamable"] is True


def test_a_model_that_raises(in_repo: Path) -> None:
    class Broken(mlgit.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any) -> Any:
            return {}["weight"]

    Broken.__module__ = "__main__"
    loaded = _round(Broken())
    with pytest.raises(InvalidParameterValue, match="The model raises KeyError: 'weight'") as error:
        loaded.predict(1)
    assert isinstance(error.value.__cause__, KeyError)
    assert error.value.error_code == "BAD_REQUEST"


def test_a_model_whose_loading_raises(in_repo: Path) -> None:
    class Broken(mlgit.pyfunc.PythonModel):
        def load_context(self, context: Any) -> None:
            raise OSError("no such device")

        def predict(self, context: Any, model_input: Any) -> Any:
            return model_input

    Broken.__module__ = "__main__"
    mlgit.pyfunc.save_model("saved", python_model=Broken())
    with pytest.raises(MlgitException, match="load_context.*OSError: no such device"):
        mlgit.pyfunc.load_model("saved")


# -- files


class Reads(mlgit.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.found = {}
        for name, path in context.artifacts.items():
            files = sorted(os.listdir(path)) if os.path.isdir(path) else Path(path).read_text()
            self.found[name] = files

    def predict(self, context: Any, model_input: Any) -> Any:
        return self.found


def test_artifacts_of_any_kind(in_repo: Path) -> None:
    Path("a.txt").write_text("a")
    Path("folder").mkdir()
    Path("folder/b.txt").write_text("b")
    with mlgit.start_run() as run:
        mlgit.log_text("of a run", "deep/c.txt")
        mlgit.log_text("top", "top.txt")
        artifacts = {
            "file": "a.txt",
            "folder": str(Path("folder").absolute()),
            "run": f"runs:/{run.info.run_id}/deep/c.txt",
            "top": f"runs:/{run.info.run_id}/top.txt",
        }
        info = mlgit.log_model(Reads(), "m", artifacts=artifacts)
    wanted = {"file": "a", "folder": ["b.txt"], "run": "of a run", "top": "top"}
    assert mlgit.pyfunc.load_model(info.model_uri).predict(0) == wanted
    row = info.flavors["python_function"]["artifacts"]
    assert row["file"] == {"path": "artifacts/a.txt", "uri": "a.txt"}


def test_two_artifacts_of_one_name(in_repo: Path) -> None:
    for folder in ("x", "y"):
        Path(folder).mkdir()
        Path(folder, "a.txt").write_text(folder)
    with pytest.raises(InvalidParameterValue, match=r"Two artifacts have the name a\.txt"):
        _round(Reads(), artifacts={"one": "x/a.txt", "two": "y/a.txt"})


def test_code_paths(in_repo: Path) -> None:
    Path("package_of_code/inner").mkdir(parents=True)
    Path("package_of_code/__init__.py").write_text("")
    Path("package_of_code/inner/__init__.py").write_text("def answer(): return 42\n")
    Path("package_of_code/__pycache__").mkdir()
    Path("package_of_code/__pycache__/x.pyc").write_bytes(b"x")
    Path("module_of_code.py").write_text("import package_of_code\nNAME = 'm'\n")

    class Uses(mlgit.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any) -> Any:
            from module_of_code import NAME  # type: ignore[import-not-found]
            from package_of_code.inner import answer  # type: ignore[import-not-found]

            return [NAME, answer()]

    Uses.__module__ = "__main__"
    with mlgit.start_run():
        info = mlgit.log_model(Uses(), "m", code_paths=["package_of_code", "module_of_code.py"])
    os.rename("package_of_code", "gone")
    os.unlink("module_of_code.py")
    loaded = mlgit.pyfunc.load_model(info.model_uri)
    assert loaded.predict(0) == ["m", 42]
    (folder,) = (p for p in sys.path if p.endswith("/code"))
    assert sorted(os.listdir(folder)) == ["module_of_code.py", "package_of_code"]
    assert not os.path.exists(f"{folder}/package_of_code/__pycache__/x.pyc")


def test_code_that_is_found(in_repo: Path, python: Any) -> None:
    """Modules that the pickle names and that are here go along; installed ones don't."""
    Path("mine_found").mkdir()
    Path("mine_found/__init__.py").write_text("")
    Path("mine_found/model.py").write_text(
        "import mlgit, yaml\n"
        "class Mine(mlgit.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input):\n"
        "        return yaml.safe_dump(model_input)\n"
    )
    program = """
import mlgit
from mine_found.model import Mine
mlgit.pyfunc.save_model("saved", python_model=Mine(), infer_code_paths=True)
"""
    python(program, cwd=in_repo, env={"PYTHONPATH": f"{in_repo}{os.pathsep}{SOURCE}"})
    assert os.listdir("saved/code") == ["mine_found"]
    os.rename("mine_found", "gone")
    assert mlgit.pyfunc.load_model("saved").predict([1]) == "- 1\n"
    with pytest.raises(InvalidParameterValue):
        _round(Full(), code_paths=["gone"], infer_code_paths=True)


def test_each_model_has_its_own_code(in_repo: Path) -> None:
    class Answers(mlgit.pyfunc.PythonModel):
        def load_context(self, context: Any) -> None:
            from answer_of_model import answer  # type: ignore[import-not-found]

            self.answer = answer

        def predict(self, context: Any, model_input: Any) -> Any:
            return self.answer()

    Answers.__module__ = "__main__"
    for number in (1, 2):
        Path("answer_of_model.py").write_text(f"def answer(): return {number}\n")
        mlgit.pyfunc.save_model(
            f"m{number}", python_model=Answers(), code_paths=["answer_of_model.py"]
        )
    os.unlink("answer_of_model.py")
    first, second = mlgit.pyfunc.load_model("m1"), mlgit.pyfunc.load_model("m2")
    assert (first.predict(0), second.predict(0)) == (1, 2)
    del sys.modules["answer_of_model"]


def test_code_paths_that_can_not_be_right(in_repo: Path) -> None:
    Path("a").mkdir()
    Path("a/x.py").write_text("")
    Path("x.py").write_text("")
    with pytest.raises(InvalidParameterValue, match="two of the name"):
        _round(Full(), code_paths=["a/x.py", "x.py"])
    with pytest.raises(InvalidParameterValue, match="holds the model's own folder"):
        _round(Full(), code_paths=["."])


# -- code files

CODE = """
import {module}
from {module}.pyfunc import PythonModel

config = {module}.models.ModelConfig(development_config={{"greeting": "hello"}})

class Greets(PythonModel):
    def predict(self, context, model_input):
        return [config.get("greeting"), model_input]

{module}.models.set_model(Greets())
"""


@pytest.mark.parametrize("module", ["mlgit", "mlflow"])
def test_models_from_code(module: str, in_repo: Path) -> None:
    """A file that imports MLflow loads where MLflow isn't installed."""
    Path("greets.py").write_text(CODE.format(module=module))
    with mlgit.start_run():
        info = mlgit.pyfunc.log_model(
            "m", python_model="greets.py", model_config={"greeting": "hi"}
        )
    row = info.flavors["python_function"]
    assert row["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert row["model_code_path"] == "greets.py"
    os.unlink("greets.py")
    assert mlgit.pyfunc.load_model(info.model_uri).predict(1) == ["hi", 1]
    other = mlgit.pyfunc.load_model(info.model_uri, model_config={"greeting": "hey"})
    assert other.predict(1) == ["hey", 1]
    assert isinstance(other.unwrap_python_model(), mlgit.pyfunc.PythonModel)


def test_the_path_that_mlflow_writes_of_a_code_file(in_repo: Path) -> None:
    """MLflow writes where the file was when it was logged; it lies in the folder."""
    Path("greets.py").write_text(CODE.format(module="mlflow"))
    mlgit.pyfunc.save_model("saved", python_model=Path("greets.py"))
    content = yaml.safe_load(Path("saved/MLmodel").read_text())
    for path in ("/somewhere/else/greets.py", "..\\x\\greets.py"):
        content["flavors"]["python_function"]["model_code_path"] = path
        Path("saved/MLmodel").write_text(yaml.safe_dump(content))
        assert mlgit.pyfunc.load_model("saved").predict(1) == ["hello", 1]


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("x = 1\n", InvalidParameterValue, "sets no model"),
        (
            "import mlgit\nmlgit.models.set_model(3)\n",
            InvalidParameterValue,
            "neither a PythonModel",
        ),
        ("1 +\n", CorruptData, "isn't Python"),
        ("raise RuntimeError('dead')\n", InvalidParameterValue, "RuntimeError: dead"),
        ("import no_such_module_x\n", MlgitException, "no_such_module_x"),
    ],
)
def test_code_that_is_no_model(
    code: str, error: type[Exception], message: str, in_repo: Path
) -> None:
    Path("model.py").write_text(code)
    with pytest.raises(error, match=message):
        mlgit.pyfunc.save_model("saved", python_model="model.py")
    assert not os.path.exists("saved")


def test_a_function_from_code_and_configuration_by_file(in_repo: Path) -> None:
    Path("config.yaml").write_text("factor: 3\n")
    Path("model.py").write_text(
        textwrap.dedent("""
        import mlgit
        config = mlgit.models.ModelConfig(development_config="config.yaml")
        mlgit.models.set_model(lambda model_input: model_input * config.get("factor"))
        """)
    )
    assert model_of_code("model.py")(2) == 6
    loaded = _round("model.py", model_config="config.yaml")
    assert loaded.predict(3) == 9
    assert ModelConfig(development_config={"a": 1}).to_dict() == {"a": 1}
    with pytest.raises(KeyError):
        ModelConfig().get("a")
    for bad in ("none.yaml", "model.py"):
        with pytest.raises(MlgitException):
            mlgit.pyfunc.load_model("saved", model_config=bad)


# -- loaders

LOADER = """
def _load_pyfunc(path):
    class Found:
        def predict(self, data, params=None):
            with open(path) as f:
                return [f.read(), data]
    return Found()
"""


def test_a_loader_of_ones_own(in_repo: Path) -> None:
    Path("loader_of_mine.py").write_text(LOADER)
    Path("weights.txt").write_text("w")
    with mlgit.start_run():
        info = mlgit.pyfunc.log_model(
            "m",
            loader_module="loader_of_mine",
            data_path="weights.txt",
            code_paths=["loader_of_mine.py"],
        )
    os.unlink("loader_of_mine.py")
    row = info.flavors["python_function"]
    assert (row["loader_module"], row["data"], row["code"]) == (
        "loader_of_mine", "data/weights.txt", "code",
    )  # fmt: skip
    loaded = mlgit.pyfunc.load_model(info.model_uri)
    assert loaded.predict(1) == ["w", 1]
    assert loaded.loader_module == "loader_of_mine"
    del sys.modules["loader_of_mine"]


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        ("os", CorruptData, "isn't one: it has no _load_pyfunc"),
        ("no_such_loader_x", MissingDependency, "no module no_such_loader_x"),
        ("mlflow.no_such_flavor", Unsupported, "isn't the loader of a flavor"),
        ("mlgit.store", Unsupported, "isn't the loader of a flavor"),
        ("", CorruptData, "names no loader_module"),
        (3, CorruptData, "names no loader_module"),
        (None, CorruptData, "names no loader_module"),
    ],
)
def test_what_is_no_loader(
    loader: Any, error: type[Exception], message: str, in_repo: Path
) -> None:
    mlgit.pyfunc.save_model("saved", python_model=Full())
    content = yaml.safe_load(Path("saved/MLmodel").read_text())
    content["flavors"]["python_function"]["loader_module"] = loader
    Path("saved/MLmodel").write_text(yaml.safe_dump(content))
    with pytest.raises(error, match=message):
        mlgit.pyfunc.load_model("saved")


def test_add_to_model() -> None:
    model = mlgit.models.Model()
    mlgit.pyfunc.add_to_model(
        model, "mine", data="d", code="code", conda_env="conda.yaml", model_config={"a": 1}, x=1
    )
    row = model.flavors["python_function"]
    assert row.pop("python_version")
    assert row == {
        "loader_module": "mine", "data": "d", "code": "code", "env": {"conda": "conda.yaml"},
        "config": {"a": 1}, "x": 1,
    }  # fmt: skip


# -- hints


def test_type_hints_are_the_signature(in_repo: Path) -> None:
    class Counts(mlgit.pyfunc.PythonModel):
        def predict(self, model_input: Any, params: Any = None) -> Any:
            return [len(text) for text in model_input]

    Counts.__module__ = "__main__"
    Counts.predict.__annotations__ = {"model_input": list[str], "return": list[int]}
    loaded = _round(Counts())
    signature = loaded.metadata.signature
    assert signature is not None
    assert signature.inputs == Schema([ColSpec("string")])
    assert signature.outputs == Schema([ColSpec("long")])
    assert loaded.predict(["a", "bb"]) == [1, 2]
    assert loaded.predict(pd.Series(["a", "bb"])) == [1, 2]
    assert loaded.predict(pd.DataFrame(["a", "bb"])) == [1, 2]
    with pytest.raises(InvalidParameterValue):
        loaded.predict([1, 2])


def test_rows_of_pydantics_models(in_repo: Path) -> None:
    pydantic = pytest.importorskip("pydantic")

    Row = pydantic.create_model("Row", a=(int, ...), b=(str, "x"))

    def ages(rows: Any) -> Any:
        return [[row.a, row.b] for row in rows]

    ages.__module__ = "__main__"
    ages.__annotations__ = {"rows": list[Row]}
    loaded = _round(ages)
    assert loaded.predict([{"a": 1}, {"a": 2, "b": "y"}]) == [[1, "x"], [2, "y"]]
    assert loaded.predict(pd.DataFrame({"a": [1], "b": ["z"]})) == [[1, "z"]]
    assert loaded.predict([Row(a=3)]) == [[3, "x"]]
    for wrong in ([{"a": "x"}], [{"b": "y"}], [3], {"a": 1}, "text"):
        with pytest.raises(InvalidParameterValue, match="Row"):
            loaded.predict(wrong)


def test_a_signature_that_is_not_what_the_hints_say(in_repo: Path) -> None:
    def upper(texts: Any) -> Any:
        return [text.upper() for text in texts]

    upper.__module__ = "__main__"
    upper.__annotations__ = {"texts": list[str]}
    signature = mlgit.models.ModelSignature(inputs=Schema([ColSpec("long")]))
    with pytest.warns(UserWarning, match="type hints"):
        loaded = _round(upper, signature=signature)
    assert loaded.predict(["a"]) == ["A"]


# -- pickles


def _globals(path: str) -> set[str]:
    texts: list[str] = []
    found = set()
    for op, argument, _ in pickletools.genops(Path(path).read_bytes()):
        if isinstance(argument, str):
            texts.append(argument)
        if op.name in ("STACK_GLOBAL", "GLOBAL"):
            found.add(" ".join(texts[-2:]))
    return found


def test_pickles_name_mlflows_classes_and_not_ours(in_repo: Path, python: Any) -> None:
    python(
        """
        import mlgit
        class Mine(mlgit.pyfunc.PythonModel):
            def predict(self, context, model_input):
                return super().load_context(context)
        mlgit.pyfunc.save_model("class", python_model=Mine())
        mlgit.pyfunc.save_model("function", python_model=lambda model_input: model_input)
        """.replace("\n        ", "\n"),
        cwd=in_repo,
    )
    for name in ("class", "function"):
        data = Path(name, "python_model.pkl").read_bytes()
        assert b"mlgit" not in data
        assert b"mlflow.pyfunc.model:" in data
        assert "pkgutil resolve_name" in _globals(f"{name}/python_model.pkl")
    assert mlgit.pyfunc.load_model("function").predict(4) == 4
    assert isinstance(
        mlgit.pyfunc.load_model("class").unwrap_python_model(), mlgit.pyfunc.PythonModel
    )


def test_base_classes_themselves(tmp_path: Path) -> None:
    path = str(tmp_path / "x.pkl")
    for value in (mlgit.pyfunc.PythonModel, FunctionModel):
        dump_pickle(value, path)
        assert load_pickle(path, True) is value
    dump_pickle([FunctionModel(len)], path)
    assert load_pickle(path, True)[0].predict(None, "abc") == 3


def test_what_only_mlflow_has(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(b"cmlflow.langchain\nmodel\n.")
    if "mlflow" in sys.modules:
        pytest.skip("MLflow is installed")
    with pytest.raises(MissingDependency, match=r"names mlflow\.langchain\.model"):
        load_pickle(str(path), True)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x05cos\n", b"not a pickle", b"\x80\x05K\x01", b"x\x9cjunk"]
)
def test_truncated_pickles(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(data)
    with pytest.raises((CorruptData, MissingDependency), match=r"m\.pkl"):
        load_pickle(str(path), True)


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        (lambda context, model_input: 0, True),
        (lambda context, model_input, params=None: 0, True),
        (lambda ctx, data: 0, True),
        (lambda model_input: 0, False),
        (lambda model_input, params=None: 0, False),
        (lambda x: 0, False),
    ],
)
def test_whether_a_method_takes_the_context(method: Any, wanted: bool) -> None:
    assert takes_context(method) is wanted


def test_spark_says_what_is_missing(in_repo: Path) -> None:
    try:
        import pyspark  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependency, match="pyspark"):
            mlgit.pyfunc.spark_udf(None, "saved")
    else:
        pytest.skip("pyspark is installed")


def test_a_missing_framework_says_what_to_install(
    in_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    from sklearn.dummy import DummyClassifier

    mlgit.sklearn.save_model(DummyClassifier().fit([[1]], [1]), "saved")
    for name in [n for n in sys.modules if n.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    for load in (mlgit.sklearn.load_model, mlgit.pyfunc.load_model):
        with pytest.raises(MissingDependency, match=r"pip install mlgit\[sklearn\]"):
            load("saved")


def test_default_requirements() -> None:
    (line,) = mlgit.pyfunc.get_default_pip_requirements()
    assert line.startswith("cloudpickle==")
    assert line in mlgit.pyfunc.get_default_conda_env()["dependencies"][-1]["pip"]


def test_no_pyfunc_face(in_repo: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.preprocessing import StandardScaler

    mlgit.sklearn.save_model(StandardScaler().fit([[1.0], [2.0]]), "saved")
    assert mlgit.sklearn.load_model("saved").mean_ == [1.5]
    with pytest.raises(ResourceDoesNotExist, match="no flavor 'python_function'"):
        mlgit.pyfunc.load_model("saved")
