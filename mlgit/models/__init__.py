"""Models: signatures, examples, what a model takes and gives (MLflow's ``mlflow.models``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_NAMES = {
    "ModelSignature": "mlgit.models.signature",
    "infer_signature": "mlgit.models.signature",
    "set_signature": "mlgit.models.signature",
}
_MODULES = ("enforcement", "examples", "signature")

__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"mlgit.models.{name}")
    else:
        raise AttributeError(f"module 'mlgit.models' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from mlgit.models import enforcement, examples, signature
    from mlgit.models.signature import ModelSignature, infer_signature, set_signature
