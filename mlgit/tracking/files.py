"""Things that are logged as files: text, dicts, figures, images and tables."""

from __future__ import annotations

import io
import json
import os
import posixpath
import time
import uuid
from collections.abc import Sequence
from typing import Any

from mlgit import validation
from mlgit.entities import DatasetInput
from mlgit.exceptions import InvalidParameterValue, MissingDependency, ResourceDoesNotExist
from mlgit.store.gitstore import GitStore

_LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"


def suffix(path: str) -> str:
    """A path's suffix in lower case, with its dot."""
    return posixpath.splitext(validation.check_path(path))[1].lower()


def dict_bytes(dictionary: Any, artifact_file: str) -> bytes:
    """A dict or list as YAML (.yml, .yaml) or JSON (any other suffix)."""
    if suffix(artifact_file) in (".yml", ".yaml"):
        import yaml

        text = yaml.safe_dump(
            _plain(dictionary), default_flow_style=False, allow_unicode=True, sort_keys=False
        )
        return str(text).encode()
    return json.dumps(dictionary, indent=2, default=str).encode()


def _plain(value: Any) -> Any:
    """What YAML can hold of a value: numpy's numbers as numbers, others as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # first: numpy's doubles are floats of Python's too
        return _plain(value.tolist())
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def figure_bytes(figure: Any, artifact_file: str, save_kwargs: dict[str, Any]) -> bytes:
    """A figure of matplotlib or plotly, in the format that the path's suffix names.

    Raises:
        InvalidParameterValue: It is neither, or the suffix isn't a format.
    """
    module = type(figure).__module__.split(".")[0]
    kind = suffix(artifact_file).lstrip(".")
    if hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        try:
            figure.savefig(buffer, **{"format": kind or "png", **save_kwargs})
        except ValueError as error:
            raise InvalidParameterValue(
                f"matplotlib can't save {artifact_file}: {error}"
            ) from error
        return buffer.getvalue()
    if module == "plotly":
        if kind == "html":
            options = {"include_plotlyjs": "cdn", **save_kwargs}
            return str(figure.to_html(**options)).encode()
        if kind in ("png", "jpg", "jpeg", "webp", "svg", "pdf"):
            return bytes(figure.to_image(format=kind, **save_kwargs))
        raise InvalidParameterValue(
            f"plotly can't save {artifact_file}", hint="use .html, .png, .jpeg, .webp, .svg or .pdf"
        )
    raise InvalidParameterValue(
        f"A figure must be matplotlib's or plotly's, not {type(figure).__name__}"
    )


def image_path(
    artifact_file: str | None, key: str | None, step: int | None, timestamp: int | None
) -> str:
    """Where an image is logged: the given path, or one made of key, step and time.

    Raises:
        InvalidParameterValue: Both or neither of ``artifact_file`` and ``key`` are given.
    """
    if (artifact_file is None) == (key is None):
        raise InvalidParameterValue("Give log_image() either artifact_file or key")
    if artifact_file is not None:
        return artifact_file
    name = str(key).replace("/", "#")
    when = time.time_ns() // 1_000_000 if timestamp is None else int(timestamp)
    return f"images/{name}%step%{int(step or 0)}%timestamp%{when}%{uuid.uuid4()}.png"


def image_bytes(image: Any, artifact_file: str) -> bytes:
    """An image in the format that the path's suffix names.

    Args:
        image: Of PIL; or a numpy array, height × width [× 1, 3 or 4], of bools, of
            integers from 0 to 255, or of floats from 0 to 1.
        artifact_file: Its path.

    Raises:
        MissingDependency: Pillow isn't installed.
        InvalidParameterValue: It is neither, or has another shape or range.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(
            "log_image() needs the package pillow", hint="pip install pillow"
        ) from error
    if hasattr(image, "to_pil"):
        image = image.to_pil()
    if not isinstance(image, Image.Image):
        image = _image_from_array(image, Image)
    kind = Image.registered_extensions().get(suffix(artifact_file) or ".png")
    if kind is None:
        raise InvalidParameterValue(f"{artifact_file} has no suffix of an image format")
    if kind == "JPEG" and image.mode in ("RGBA", "P", "LA"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def _image_from_array(array: Any, pil: Any) -> Any:
    import sys

    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(array, numpy.ndarray):
        raise InvalidParameterValue(
            f"An image must be PIL's or a numpy array, not {type(array).__name__}"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InvalidParameterValue(
            f"An image's array must be height × width [× 1, 3 or 4], not {array.shape}"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    kind = array.dtype.kind
    if kind not in "biuf":
        raise InvalidParameterValue(f"An image's array can't be of {array.dtype}")
    if array.size and kind in "iu" and (array.min() < 0 or array.max() > 255):
        raise InvalidParameterValue("An image's integers must be from 0 to 255")
    if array.size and kind == "f" and not (array.min() >= 0 and array.max() <= 1):
        raise InvalidParameterValue(
            "An image's floats must be from 0 to 1", hint="scale them, or pass integers"
        )
    scale = {"b": 255, "f": 255}.get(kind, 1)
    return pil.fromarray((array * scale).astype("uint8"))


# -- tables


def log_table(store: GitStore, run_id: str, data: Any, artifact_file: str) -> None:
    """Log a table, or add its rows to one already there (MLflow's ``log_table``).

    Raises:
        InvalidParameterValue: It is neither a dict nor a frame, or the suffix is neither
            .json nor .parquet.
    """
    import pandas as pd

    kind = suffix(artifact_file)
    if kind not in (".json", ".parquet"):
        raise InvalidParameterValue(
            f"A table's file must end in .json or .parquet, not {artifact_file!r}"
        )
    if isinstance(data, dict):
        try:
            frame = pd.DataFrame(data)
        except ValueError:  # all values are single ones
            frame = pd.DataFrame([data])
    elif isinstance(data, pd.DataFrame):
        frame = data
    else:
        raise InvalidParameterValue(
            f"A table must be a dict of columns or a pandas frame, not {type(data).__name__}"
        )
    try:
        before = _read_table(store.read_artifact(run_id, artifact_file), kind)
        frame = pd.concat([before, frame], ignore_index=True)
    except ResourceDoesNotExist:
        pass
    store.log_bytes(run_id, _table_bytes(frame, kind), artifact_file)
    _note_table(store, run_id, artifact_file)


def _table_bytes(frame: Any, kind: str) -> bytes:
    if kind == ".parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    text = frame.to_json(orient="split", index=False, date_format="iso", default_handler=str)
    return str(text).encode()


def _read_table(data: bytes, kind: str) -> Any:
    import pandas as pd

    if kind == ".parquet":
        return pd.read_parquet(io.BytesIO(data))
    # Not pandas.read_json, which makes numbers of texts like "007".
    try:
        found = json.loads(data)
        return pd.DataFrame(found["data"], columns=found["columns"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InvalidParameterValue(
            f"This artifact isn't a table that log_table() wrote: {error}",
            hint="load_dict() and load_text() read other files",
        ) from error


def _note_table(store: GitStore, run_id: str, artifact_file: str) -> None:
    """Keep the tag by which MLflow's tools find a run's tables."""
    tags = store.runs.record(run_id).tags
    try:
        known = json.loads(tags.get(_LOGGED_ARTIFACTS, "[]"))
    except ValueError:
        known = []
    item = {"path": artifact_file, "type": "table"}
    if item not in known:
        store.runs.set_tag(run_id, _LOGGED_ARTIFACTS, json.dumps([*known, item]))


def load_table(
    store: GitStore,
    experiment_id: str,
    artifact_file: str,
    run_ids: Sequence[str] | None = None,
    extra_columns: Sequence[str] | None = None,
) -> Any:
    """One pandas frame of the tables that some runs logged under a path.

    Args:
        store: The store.
        experiment_id: Whose runs.
        artifact_file: The tables' path.
        run_ids: Only these runs.
        extra_columns: Of run_id, run_name, experiment_id, status, start_time, end_time,
            artifact_uri: columns to add.

    Raises:
        ResourceDoesNotExist: No run has such a table.
    """
    import pandas as pd

    frames = []
    for run in store.search_runs([experiment_id], max_results=50_000):
        if run_ids is not None and run.info.run_id not in run_ids:
            continue
        try:
            data = store.read_artifact(run.info.run_id, artifact_file)
        except ResourceDoesNotExist:
            continue
        frame = _read_table(data, suffix(artifact_file))
        for column in extra_columns or ():
            if not hasattr(run.info, column):
                raise InvalidParameterValue(f"Runs have no column {column!r}")
            frame[column] = getattr(run.info, column)
        frames.append(frame)
    if not frames:
        raise ResourceDoesNotExist(f"No run of the experiment has the table {artifact_file}")
    return pd.concat(frames, ignore_index=True)


# -- datasets


def dataset_record(found: DatasetInput) -> dict[str, Any]:
    """A dataset as inputs.yaml holds it."""
    dataset = found.dataset
    record = {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "schema": dataset.schema,
        "profile": dataset.profile,
        "tags": {tag.key: tag.value for tag in found.tags},
    }
    return {key: value for key, value in record.items() if value not in (None, {})}


def read_local(path: str) -> bytes:
    """A local file's bytes.

    Raises:
        ResourceDoesNotExist: There is none.
    """
    if not os.path.isfile(path):
        raise ResourceDoesNotExist(f"No such file: {path}")
    with open(path, "rb") as f:
        return f.read()
