"""Any model as a function of data, and models that are the person's own code.

MLflow's ``mlflow.pyfunc``: ``PythonModel``, plain functions, models from files of code, modules
that load a model; ``load_model`` loads a model of any flavor.
"""

from __future__ import annotations

from mlgit.models.pyfunc_model import PyFuncModel
from mlgit.pyfunc.loading import (
    _load_pyfunc as _load_pyfunc,
)
from mlgit.pyfunc.loading import (
    get_model_dependencies,
    load_model,
    spark_udf,
)
from mlgit.pyfunc.python_model import PythonModel, PythonModelContext
from mlgit.pyfunc.saving import (
    add_to_model,
    get_default_conda_env,
    get_default_pip_requirements,
    log_model,
    save_model,
)

FLAVOR_NAME = "python_function"

__all__ = [
    "FLAVOR_NAME",
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "add_to_model",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "get_model_dependencies",
    "load_model",
    "log_model",
    "save_model",
    "spark_udf",
]
