"""Models as the command line's JSON and text; the keys are a promise (docs/cli.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlgit.cli import output
from mlgit.cli.output import Output, one_line, times
from mlgit.models.shown import flavor_rows, param_rows, plain, schema_rows, short_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlgit.models.listing import Description, LoggedModel
    from mlgit.models.mlmodel import Model
    from mlgit.models.running import Trial

    Listed = tuple[LoggedModel, int | None, Model | None]

_PYFUNC = "python_function"


def listed_json(
    model: LoggedModel, size: int | None, mlmodel: Model | None, experiments: dict[str, str]
) -> dict[str, Any]:
    """A logged model, as ``mlgit models list --logged --json`` has it."""
    info = model.run.info
    return {
        "model_uri": model.uri,
        "run_id": info.run_id,
        "run_name": info.run_name or "",
        "experiment_id": info.experiment_id,
        "experiment": experiments.get(info.experiment_id, ""),
        "path": model.path,
        "flavors": list(model.flavors),
        "model_uuid": model.model_uuid,
        "size": size,
        "created": model.created,
        **times(start_time=info.start_time),
        "signature": None if mlmodel is None else signature_json(mlmodel),
    }


def listed_text(rows: Sequence[Listed], out: Output) -> str:
    """The table of ``mlgit models list --logged``: models, their sizes and their MLmodels."""
    cells = [
        [
            one_line(model.run.info.run_id[:8]),
            one_line(model.run.info.run_name or ""),
            one_line(model.path),
            one_line(", ".join(name for name in model.flavors if name != _PYFUNC)) or _PYFUNC,
            output.size(size),
            output.age(model.run.info.start_time),
            one_line(short_signature(mlmodel)),
        ]
        for model, size, mlmodel in rows
    ]
    headers = ["run", "name", "path", "flavor", "size", "started", "signature"]
    return output.table([out.style(header, bold=True) for header in headers], cells, (4,))


def signature_json(model: Model) -> dict[str, Any] | None:
    """A model's signature, its parts read; None where it has none."""
    if model.signature is None:
        return None
    found = model.signature.to_dict()
    return {part: None if text is None else json.loads(text) for part, text in found.items()}


# -- one model


def model_json(found: Description) -> dict[str, Any]:
    """One model, as ``mlgit models show --json`` has it."""
    model = found.model
    return {
        "model_uri": found.uri,
        "run_id": model.run_id,
        "path": model.artifact_path,
        "model_uuid": model.model_uuid,
        "model_id": model.model_id,
        "created": model.utc_time_created,
        "mlflow_version": model.mlflow_version,
        "size": model.model_size_bytes,
        "digest": found.digest or None,
        "flavors": model.flavors,
        "signature": signature_json(model),
        "metadata": model.metadata,
        "input_example": model.saved_input_example_info,
        "requirements": found.requirements,
        "files": [
            {"path": path, "size": size, "sha256": sha256 or None}
            for path, size, sha256 in found.files
        ],
    }


def model_text(found: Description, out: Output) -> str:
    """The same for a person."""
    model = found.model
    facts = [
        ("run", model.run_id or ""),
        ("path", model.artifact_path or ""),
        ("created", f"{model.utc_time_created} UTC" if model.utc_time_created else ""),
        ("size", output.size(model.model_size_bytes)),
        ("digest", f"sha256:{found.digest}" if found.digest else ""),
        ("uuid", model.model_uuid),
        ("id", model.model_id or ""),
        ("format", f"MLflow {model.mlflow_version}" if model.mlflow_version else ""),
    ]
    lines = [out.style(one_line(found.uri), bold=True)]
    lines += [f"  {name:<8}{one_line(value)}" for name, value in facts if value]
    lines += section("flavors", flavor_rows(model), out)
    lines += signature_lines(model, out)
    lines += section("metadata", [[str(k), plain(v)] for k, v in _items(model.metadata)], out)
    lines += section("requirements", [[line] for line in found.requirements], out)
    lines += section("example", [[line] for line in found.example.splitlines()], out)
    files = [[path, output.size(size)] for path, size, _ in found.files]
    return "\n".join(lines + section("files", files, out))


def signature_lines(model: Model, out: Output) -> list[str]:
    """What a model takes and gives, for a person."""
    if model.signature is None:
        return ["", "It has no signature: what it is given isn't checked"]
    return [
        *section("inputs", schema_rows(model.signature.inputs), out),
        *section("outputs", schema_rows(model.signature.outputs), out),
        *section("params", param_rows(model.signature.params), out),
    ]


def section(title: str, rows: list[list[str]], out: Output) -> list[str]:
    """A titled part of a page: rows of cells under each other; nothing where there are none."""
    if not rows:
        return []
    wide = [max(output.width(one_line(row[at])) for row in rows) for at in range(len(rows[0]))]
    body = [
        "  ".join(
            one_line(cell) + " " * (wide[at] - output.width(one_line(cell)))
            for at, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]
    return ["", out.style(title, bold=True), *(f"  {line}" for line in body)]


def _items(metadata: dict[str, Any] | None) -> list[tuple[str, Any]]:
    return sorted((metadata or {}).items(), key=lambda item: str(item[0]))


# -- trying a model


def trial_text(trial: Trial, out: Output) -> str:
    """What came of ``mlgit models load-check``, for a person."""
    lines: list[str] = []
    for step in trial.steps:
        mark = out.style("ok", "green") if step.ok else out.style("FAILED", "red", bold=True)
        took = f" ({step.seconds:.1f}s)" if step.seconds >= 0.05 else ""
        first, *rest = output.safe(step.message).splitlines() or [""]
        lines.append(f"{step.name:<12} {mark:<6}  {first}{took}")
        lines += [f"    {line}" for line in rest]
        if step.log:
            lines += ["    the end of the log:"]
            lines += [f"      {line}" for line in output.safe(step.log).splitlines()]
    return "\n".join(lines)
