"""A PyTorch model as the pyfunc face calls it: arrays and frames in, the same out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlgit import settings
from mlgit.exceptions import InvalidParameterValue
from mlgit.models.flavors import framework


def best_device(wanted: Any = None) -> Any:
    """The device to predict on: the wanted one, the environment's, a GPU if there is one.

    Raises:
        InvalidParameterValue: There is no such device here.
    """
    torch = framework("torch", "pytorch")
    wanted = wanted or settings.prediction_device()
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise InvalidParameterValue(
            f"There is no device {wanted!r} here: {str(error).splitlines()[0]}",
            hint="device is one of cpu, cuda, cuda:1, mps, …",
        ) from error
    return device


class Scored:
    """A model that predicts on arrays and frames.

    Args:
        model: The module.
        device: Where it is put, for good; where it is if None.
    """

    def __init__(self, model: Any, device: Any = None) -> None:
        self._torch = framework("torch", "pytorch")
        self._model = model if device is None else model.to(device)
        if device is not None:
            _evaluate(self._model)
        self._settled = device is not None
        if device is None:
            tensors = [*model.parameters(), *model.buffers()]
            device = tensors[0].device if tensors else self._torch.device("cpu")
        self._device = device

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict.

        Args:
            data: A frame, whose values are taken as float32; an array; or a tensor.
            params: Further arguments of the model's ``forward()``.

        Returns:
            A frame for a frame, else an array.

        Raises:
            InvalidParameterValue: It is other data, or the model gives no tensor.
        """
        if params and "device" in params:
            raise InvalidParameterValue(
                "device isn't a param of predict(): the model is on one already",
                hint='mlgit.pyfunc.load_model(uri, model_config={"device": "cpu"})',
            )
        given = self.tensor(data)
        with self._torch.no_grad(), self.evaluating() as model:
            found = model(given, **(params or {}))
        if not isinstance(found, self._torch.Tensor):
            raise InvalidParameterValue(
                f"The model gives a {type(found).__name__}, and pyfunc can only hand on one tensor",
                hint="load it by mlgit.pytorch.load_model(), or wrap it in a PythonModel",
            )
        return self._like(data, found.detach().cpu())

    def get_raw_model(self) -> Any:
        """The module."""
        return self._model

    def tensor(self, data: Any) -> Any:
        """Data as a tensor on the model's device."""
        import numpy as np
        import pandas as pd

        if isinstance(data, self._torch.Tensor):
            return data.to(self._device)
        if isinstance(data, pd.DataFrame):
            try:
                data = data.to_numpy(dtype=np.float32)
            except (TypeError, ValueError) as error:
                raise InvalidParameterValue(
                    f"Columns must hold numbers for a PyTorch model: {error}"
                ) from error
        if not isinstance(data, np.ndarray):
            raise InvalidParameterValue(
                "A PyTorch model predicts on a pandas.DataFrame or a numpy.ndarray, not "
                f"{type(data).__name__}",
                "INVALID_PARAMETER_VALUE",
                hint="numpy.array(data, dtype='float32') makes one of lists",
            )
        # Only memory that it may write, forwards, is taken as it is.
        data = np.require(data, requirements=["C", "W"])
        try:
            return self._torch.from_numpy(data).to(self._device)
        except TypeError as error:
            raise InvalidParameterValue(f"A tensor can't hold this data: {error}") from error

    @contextmanager
    def evaluating(self) -> Iterator[Any]:
        """The model in evaluation mode; each of its modules is put back into its own after."""
        if self._settled:
            yield self._model
            return
        training = [module for module in self._model.modules() if module.training]
        if training:
            _evaluate(self._model)
        try:
            yield self._model
        finally:
            for module in training:
                module.training = True

    def _like(self, data: Any, found: Any) -> Any:
        import pandas as pd

        if found.dtype is self._torch.bfloat16:
            found = found.float()  # which numpy lacks
        array = found.numpy()
        if not isinstance(data, pd.DataFrame):
            return array
        if array.ndim > 2 or len(array) != len(data):
            raise InvalidParameterValue(
                f"The model gives an array of shape {array.shape}, which isn't a frame with the "
                f"{len(data)} rows of the input",
                hint="predict on an array: model.predict(frame.to_numpy('float32'))",
            )
        frame = pd.DataFrame(array)
        frame.index = data.index
        return frame


def _evaluate(model: Any) -> None:
    try:
        model.eval()
    except NotImplementedError:
        pass  # a program that was exported has no modes
