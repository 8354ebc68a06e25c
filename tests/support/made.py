"""Versions to promote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlgit


def version(name: str = "m", params: dict[str, Any] | None = None, **metrics: float) -> int:
    """Register a version of a new run that has logged metrics and params; its number."""
    with mlgit.start_run() as run:
        mlgit.log_metrics(metrics)
        mlgit.log_params(params or {})
        mlgit.log_text(f"flavors: {{}}\nmodel_uuid: '{run.info.run_id}'\n", "model/MLmodel")
    return int(mlgit.register_model(f"runs:/{run.info.run_id}/model", name).version)


def rules(folder: Path, text: str) -> None:
    """Write the team's rules: what stands below ``promotion:``."""
    path = folder / ".mlgit/config.yaml"
    path.parent.mkdir(exist_ok=True)
    lines = "".join(f"  {line}\n" for line in text.strip("\n").splitlines())
    path.write_text(f"format: 1\npromotion:\n{lines}")
