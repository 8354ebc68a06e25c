"""Running a model on a file, and trying whether it runs at all: here, or in a child process.

A ``Task`` is plain data, so that it can be handed to a Python of another environment.
"""

from __future__ import annotations

import io
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MlgitException,
    ResourceDoesNotExist,
    from_os_error,
)
from mlgit.models.batches import batches, check_content_type, content_type_of
from mlgit.models.pyfunc_model import PyFuncModel, load_pyfunc
from mlgit.models.results import Writer, new_file, writer

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore


@dataclass(frozen=True)
class Task:
    """What to predict on, and where to write it.

    Attributes:
        model: The model's folder on disk, or any URI of it.
        input_path: The input; standard input where None.
        output_path: The predictions; standard output where None.
        content_type: The input's; by its name where None, else JSON.
        output_type: The output's; by its name where None, else JSON.
        rows: How many rows a batch has; see ``batches``.
        params: Params for all predictions; they count before those that the input has.
        allow_pickle: Whether the model may run code; the setting where None.
    """

    model: str
    input_path: str | None = None
    output_path: str | None = None
    content_type: str | None = None
    output_type: str | None = None
    rows: int | None = None
    params: dict[str, Any] | None = None
    allow_pickle: bool | None = None

    def checked(self) -> Task:
        """The task with its content types settled.

        Raises:
            InvalidParameterValue: There is no such content type.
            ResourceDoesNotExist: The input isn't there.
        """
        given = self.content_type
        found = check_content_type(given) if given else content_type_of(self.input_path) or "json"
        # On a pipe, what MLflow writes, but for lines, which it doesn't know.
        default = "jsonl" if found == "jsonl" else "json"
        wanted = self.output_type
        wanted = check_content_type(wanted) if wanted else content_type_of(self.output_path)
        if self.input_path is not None and not os.path.exists(self.input_path):
            raise ResourceDoesNotExist(f"No such file: {self.input_path}")
        return Task(**{**asdict(self), "content_type": found, "output_type": wanted or default})


def predict_task(
    task: Task,
    source: BinaryIO | None = None,
    target: BinaryIO | None = None,
    *,
    store: GitStore | None = None,
) -> int:
    """Predict batch by batch, and write the predictions: all of them, or no file.

    Args:
        task: What to do.
        source: Read instead of standard input.
        target: Written to instead of standard output.
        store: The repository of runs; the one in use where None.

    Returns:
        How many rows were predicted on, as far as batches have a length.

    Raises:
        InvalidParameterValue: The input can't be read, doesn't fit the signature, or the model
            raises.
        ResourceDoesNotExist: There is no such model or input.
        What loading the model raises.
    """
    task = task.checked()
    out = target if target is not None else sys.stdout.buffer
    # What the model prints doesn't belong among the predictions.
    with redirect_stdout(sys.stderr):
        model = load_pyfunc(task.model, allow_pickle=task.allow_pickle, store=store)
        with _opened(task.input_path, source) as stream:
            if task.output_path is not None:
                with new_file(task.output_path) as out:
                    return _predict(model, stream, out, task)
            count = _predict(model, stream, out, task)
            out.flush()
            return count


def _predict(model: PyFuncModel, source: BinaryIO, target: BinaryIO, task: Task) -> int:
    made: Writer | None = None
    count = 0
    signature = model.metadata.signature
    found = batches(source, str(task.content_type), model.metadata.get_input_schema(), task.rows)
    for data, params in found:
        given = {**(params or {}), **(task.params or {})} or None
        predictions = model.predict(data, params=given)
        if made is None:  # so that nothing is written where the first batch fails
            outputs = signature.outputs if signature is not None else None
            made = writer(target, str(task.output_type), outputs)
        made.write(predictions)
        count += _rows(data)
    if made is not None:
        made.close()
    return count


def _rows(data: Any) -> int:
    """How many rows a batch has; a dict of tensors has as many as each of them."""
    if isinstance(data, dict):
        data = next((value for value in data.values() if getattr(value, "shape", ())), [None])
    return len(data) if hasattr(data, "__len__") else 1


@contextmanager
def _opened(path: str | None, source: BinaryIO | None) -> Iterator[BinaryIO]:
    if path is None:
        yield source if source is not None else sys.stdin.buffer
        return
    try:
        stream = open(path, "rb")
    except FileNotFoundError as error:
        raise ResourceDoesNotExist(f"No such file: {path}") from error
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
    with stream:
        yield stream


# -- trying


@dataclass
class Step:
    """One step of trying a model.

    Attributes:
        name: "environment", "load", "predict" or "outputs".
        ok: Whether it went well.
        message: What was seen, or what is wrong.
        seconds: How long it took.
        log: The end of what was printed, where it went wrong.
    """

    name: str
    ok: bool
    message: str
    seconds: float = 0.0
    log: str = ""


@dataclass
class Trial:
    """What came of trying a model.

    Attributes:
        steps: In their order; those after one that fails aren't there.
    """

    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every step went well."""
        return all(step.ok for step in self.steps)


def try_model(model: str, allow_pickle: bool | None = None) -> Trial:
    """Load a model, predict on its example and hold the predictions against its signature.

    Args:
        model: The model's folder on disk, or any URI of it.
        allow_pickle: Whether it may run code; the setting where None.
    """
    trial = Trial()
    found: dict[str, Any] = {}

    def load() -> str:
        found["model"] = load_pyfunc(model, allow_pickle=allow_pickle)
        return f"{found['model'].loader_module}, Python {platform.python_version()}"

    def example() -> str:
        from mlgit.models.folder import opened

        with opened(model) as folder:
            found["data"] = data = folder.input_example()
            params = folder.input_example_params()
        if data is None:
            return "nothing: the model has no input example"
        found["predictions"] = found["model"].predict(data, params=params)
        kind = type(data).__name__
        return f"on the input example ({_count(data)}{kind})"

    def outputs() -> str:
        return _check_outputs(found["model"], found["predictions"])

    if _step(trial, "load", load) and _step(trial, "predict", example):
        if "predictions" in found:
            _step(trial, "outputs", outputs)
    return trial


def _count(data: Any) -> str:
    if not getattr(data, "shape", ()):
        return ""
    return f"{len(data)} row{'' if len(data) == 1 else 's'}, "


def _check_outputs(model: PyFuncModel, predictions: Any) -> str:
    from mlgit.models.enforcement import enforce_schema

    schema = model.metadata.get_output_schema()
    if schema is None:
        return "not checked: the signature has no outputs"
    try:
        enforce_schema(predictions, schema)
    except InvalidParameterValue as error:
        raise CorruptData(
            f"The predictions aren't what the signature says: {error.message}", hint=error.hint
        ) from error
    return "as the signature says"


def _step(trial: Trial, name: str, what: Any) -> bool:
    began = time.monotonic()
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            message, ok, log = what(), True, ""
    except MlgitException as error:
        message, ok, log = str(error), False, printed.getvalue()
    except Exception as error:  # a framework's own, whatever it is
        import traceback

        message, ok = f"{type(error).__name__}: {error}", False
        log = printed.getvalue() + traceback.format_exc()
    trial.steps.append(Step(name, ok, message, time.monotonic() - began, _tail(log)))
    return ok


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])
