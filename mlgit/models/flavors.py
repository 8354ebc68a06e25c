"""The flavors: which there are, and how a model of each is recognised.

Adding a flavor is one module beside ``mlgit/sklearn.py`` and one row here. Nothing of a
framework is imported to recognise its models: their classes say where they come from.
"""

from __future__ import annotations

import importlib
import os
import types
from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import InvalidParameterValue, MissingDependency, Unsupported


@dataclass(frozen=True)
class Flavor:
    """One row of the table.

    Attributes:
        name: The key in MLmodel's ``flavors``.
        loader: The module of MLflow's that loads the flavor's pyfunc face; what MLmodel names.
        roots: Packages whose classes' instances are models of this flavor.
        extra: What ``pip install mlgit[…]`` brings the framework.
    """

    name: str
    loader: str
    roots: tuple[str, ...]
    extra: str = ""

    @property
    def module(self) -> str:
        """The module of mlgit that saves and loads the flavor."""
        return f"mlgit.{self.name}"


_ROWS = (
    Flavor("keras", "mlflow.keras", ("keras",), "keras"),
    Flavor("lightgbm", "mlflow.lightgbm", ("lightgbm",), "lightgbm"),
    Flavor("pytorch", "mlflow.pytorch", ("torch",), "torch"),
    Flavor("sklearn", "mlflow.sklearn", ("sklearn",), "sklearn"),
    Flavor("tensorflow", "mlflow.tensorflow", ("tensorflow",), "tensorflow"),
    Flavor("transformers", "mlflow.transformers", ("transformers",), "transformers"),
    Flavor("xgboost", "mlflow.xgboost", ("xgboost",), "xgboost"),
)
FLAVORS = {row.name: row for row in _ROWS}
PYFUNC = Flavor("pyfunc", "mlflow.pyfunc.model", ("mlgit.pyfunc", "mlflow.pyfunc"))
CODE_LOADER = "mlflow.pyfunc.loaders.code_model"
_LOADERS = {row.loader: row for row in FLAVORS.values()} | {
    PYFUNC.loader: PYFUNC,
    CODE_LOADER: PYFUNC,
    "mlflow.pyfunc": PYFUNC,
}


def module_of(flavor: Flavor) -> types.ModuleType:
    """The module of mlgit that saves and loads a flavor."""
    return importlib.import_module(flavor.module)


def of_loader(loader: str) -> Flavor | None:
    """The flavor whose loader MLmodel names; None where it is a module of somebody's own.

    Raises:
        Unsupported: It is a loader of MLflow's for a flavor that mlgit doesn't have.
    """
    found = _LOADERS.get(loader)
    if found is None and loader.split(".")[0] in ("mlflow", "mlgit"):
        raise Unsupported(
            f"{loader!r} isn't the loader of a flavor that this mlgit knows",
            hint=f"it knows {', '.join(sorted(_LOADERS))}",
        )
    return found


def of_model(model: Any) -> Flavor:
    """The flavor that a model belongs to, by the packages that its class comes from.

    The nearest class of a known package counts: a classifier of XGBoost's is one of
    scikit-learn's too.

    Raises:
        InvalidParameterValue: It belongs to none.
    """
    if isinstance(model, (types.FunctionType, types.MethodType, str, os.PathLike)):
        return PYFUNC  # a path is that of a file of code
    if isinstance(model, dict) and "model" in model:
        return of_model(model["model"])  # a dict of components
    for base in type(model).__mro__:
        for row in (*FLAVORS.values(), PYFUNC):
            if _is_below(base.__module__, row.roots):
                return row
    kind = type(model)
    raise InvalidParameterValue(
        f"A {kind.__module__}.{kind.__qualname__} isn't a model of a known flavor",
        hint=f"known are {', '.join(FLAVORS)}, subclasses of mlgit.pyfunc.PythonModel and "
        "functions; or call the log_model() of a flavor yourself",
    )


def _is_below(module: str, roots: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)


def framework(module: str, flavor: str) -> Any:
    """A module of a flavor's framework, imported.

    Args:
        module: Its name in ``import``.
        flavor: The flavor that needs it.

    Raises:
        MissingDependency: It isn't installed; the error says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != top:
            raise  # it is there, and lacks something itself
        row = FLAVORS.get(flavor)
        extra = row.extra if row else ""
        raise MissingDependency(
            f"The flavor {flavor} needs {top}, which isn't installed",
            hint=f"pip install mlgit[{extra}]" if extra else f"pip install {top}",
        ) from error
