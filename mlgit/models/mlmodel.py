"""``Model``: what the file MLmodel holds, in MLflow's format."""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mlgit.exceptions import CorruptData, ResourceDoesNotExist, from_os_error

if TYPE_CHECKING:
    from mlgit.models.signature import ModelSignature

MLMODEL = "MLmodel"
# The version of MLflow whose format this is; 3.x reads it too.
MLFLOW_VERSION = "2.22.5"
_LARGEST = 16 << 20
# In the order of this list where they are attributes of Model; all are keys of MLmodel.
_FIELDS = (
    "artifact_path",
    "flavors",
    "metadata",
    "mlflow_version",
    "model_id",
    "model_size_bytes",
    "model_uuid",
    "run_id",
    "saved_input_example_info",
    "utc_time_created",
)


class Model:
    """A model's description: its flavors, signature, example and where it was logged.

    Args:
        artifact_path: Its folder in the run that logged it.
        run_id: That run.
        utc_time_created: Now where None.
        flavors: The rows of each flavor.
        signature: What it takes and gives.
        saved_input_example_info: How the example is kept.
        model_uuid: Its id; a new one where None.
        mlflow_version: The version of MLflow whose format it has.
        metadata: What people want kept with it.
        model_size_bytes: The size of its data.
        others: Keys of MLmodel that mlgit doesn't know; they are kept.

    Attributes:
        others: The same.
    """

    def __init__(
        self,
        artifact_path: str | None = None,
        run_id: str | None = None,
        utc_time_created: str | None = None,
        flavors: dict[str, Any] | None = None,
        signature: ModelSignature | None = None,
        saved_input_example_info: dict[str, Any] | None = None,
        model_uuid: str | None = None,
        mlflow_version: str | None = MLFLOW_VERSION,
        metadata: dict[str, Any] | None = None,
        model_size_bytes: int | None = None,
        model_id: str | None = None,
        **others: Any,
    ) -> None:
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        self.artifact_path = artifact_path
        self.run_id = run_id
        self.utc_time_created = str(utc_time_created or now)
        self.flavors: dict[str, Any] = {} if flavors is None else flavors
        self.signature = signature
        self.saved_input_example_info = saved_input_example_info
        self.model_uuid = model_uuid or uuid.uuid4().hex
        self.mlflow_version = mlflow_version
        self.metadata = metadata
        self.model_size_bytes = model_size_bytes
        self.model_id = model_id
        self.others = others

    # -- parts

    def add_flavor(self, name: str, **params: Any) -> Model:
        """Set a flavor's row, and return this model."""
        self.flavors[name] = params
        return self

    def get_input_schema(self) -> Any:
        """What it takes, or None where it has no signature."""
        return self.signature.inputs if self.signature is not None else None

    def get_output_schema(self) -> Any:
        """What it gives, or None."""
        return self.signature.outputs if self.signature is not None else None

    def get_params_schema(self) -> Any:
        """The params of its predictions, or None."""
        return self.signature.params if self.signature is not None else None

    def get_model_info(self, logged_model: Any = None) -> ModelInfo:
        """What ``log_model`` returns about it."""
        return ModelInfo(self)

    def load_input_example(self, path: str | None = None) -> Any:
        """The example that it was saved with, or None.

        Args:
            path: The model's folder; the place that it was logged to where None.
        """
        from mlgit.models.folder import opened

        with opened(path or self._logged_at()) as folder:
            return folder.input_example()

    def load_input_example_params(self, path: str | None = None) -> Any:
        """The params of the example that it was saved with, or None."""
        from mlgit.models.folder import opened

        with opened(path or self._logged_at()) as folder:
            return folder.input_example_params()

    def get_serving_input(self, path: str | None = None) -> str | None:
        """The body of a request to a scoring server that holds the example, or None."""
        from mlgit.models.folder import opened

        with opened(path or self._logged_at()) as folder:
            return folder.serving_input()

    def _logged_at(self) -> str:
        if self.run_id is None or self.artifact_path is None:
            raise ResourceDoesNotExist(
                "The model doesn't say where it was logged", hint="give the path of its folder"
            )
        return f"runs:/{self.run_id}/{self.artifact_path}"

    # -- as a file

    def to_dict(self) -> dict[str, Any]:
        """MLmodel's content."""
        found = {**self.others, **{name: getattr(self, name) for name in _FIELDS}}
        found = {name: value for name, value in found.items() if value is not None}
        if self.signature is not None:
            found["signature"] = self.signature.to_dict()
            # MLflow's newer versions look at both.
            found.setdefault("is_signature_from_type_hint", False)
            found.setdefault("type_hint_from_example", False)
        return found

    def to_yaml(self, stream: Any = None) -> str:
        """MLmodel's text; written to ``stream`` too, where one is given."""
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text = str(
            yaml.dump(self.to_dict(), None, Dumper=dumper, allow_unicode=True, sort_keys=True)
        )
        if stream is not None:
            stream.write(text)
        return text

    def to_json(self) -> str:
        """MLmodel's content as JSON."""
        import json

        return json.dumps(self.to_dict())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write MLmodel, at exactly this path."""
        try:
            with open(path, "w", encoding="utf-8") as f:
                self.to_yaml(f)
        except OSError as error:
            raise from_os_error(error, f"write {path}") from error

    @classmethod
    def from_dict(cls, content: dict[str, Any], name: str = MLMODEL) -> Model:
        """A model from MLmodel's content.

        Args:
            content: The content.
            name: What errors call it.

        Raises:
            CorruptData: A field is of another type than MLmodel's.
        """
        content = dict(content)
        _check_types(content, name)
        signature = content.pop("signature", None)
        known = {key: content.pop(key) for key in _FIELDS if key in content}
        model = cls(**{"mlflow_version": None, **known})
        model.others = content
        if signature is not None:
            from mlgit.models.signature import ModelSignature

            model.signature = ModelSignature.from_dict(signature)
        return model

    @classmethod
    def from_bytes(cls, data: bytes, name: str = MLMODEL) -> Model:
        """A model from the bytes of its MLmodel.

        Raises:
            CorruptData: They aren't YAML, or not MLmodel's.
        """
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        if len(data) > _LARGEST:
            raise CorruptData(f"{name} is {len(data)} bytes long, which no MLmodel is")
        try:
            content = yaml.load(data, Loader=loader)
        except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
            first = " ".join(str(error).split())[:200]
            raise CorruptData(
                f"{name} isn't YAML: {first}", hint="the folder isn't a model, or it is damaged"
            ) from error
        if not isinstance(content, dict):
            raise CorruptData(f"{name} holds no mapping", hint="the folder isn't a model")
        return cls.from_dict(content, name)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """The description of a model.

        Args:
            path: The model's folder, its MLmodel, or any model URI.

        Raises:
            ResourceDoesNotExist: There is no model.
            CorruptData: Its MLmodel can't be read.
        """
        from mlgit.models.folder import opened

        place = os.fspath(path)
        if os.path.basename(place) == MLMODEL and os.path.isfile(place):
            place = os.path.dirname(os.path.abspath(place))
        with opened(place) as folder:
            return folder.model

    @classmethod
    def log(
        cls,
        artifact_path: str | None = None,
        flavor: Any = None,
        registered_model_name: str | None = None,
        await_registration_for: int | None = None,
        metadata: dict[str, Any] | None = None,
        run_id: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> ModelInfo:
        """Save a model by a flavor's ``save_model`` and log it to a run.

        Args:
            artifact_path, name: The model's folder in the run; either of them.
            flavor: A module with ``save_model``.
            registered_model_name: Register it under this name, too.
            await_registration_for: Accepted for MLflow's sake.
            metadata: Kept in MLmodel.
            run_id: The run; the active one where None.
            kwargs: For ``save_model``.
        """
        from mlgit.models.logged import log

        return log(
            flavor.save_model,
            artifact_path,
            {
                "name": name,
                "registered_model_name": registered_model_name,
                "metadata": metadata,
                "run_id": run_id,
                **kwargs,
            },
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Model(model_uuid={self.model_uuid!r}, flavors={sorted(self.flavors)})"


def _check_types(content: dict[str, Any], name: str) -> None:
    flavors = content.get("flavors", {})
    if flavors is None or not isinstance(flavors, dict):
        raise CorruptData(f"{name}: flavors must be names with a mapping each")
    for flavor, row in flavors.items():
        if not isinstance(row, dict):
            raise CorruptData(f"{name}: the flavor {flavor!r} must be a mapping")
    for key in ("signature", "saved_input_example_info", "metadata"):
        if not isinstance(content.get(key) or {}, dict):
            raise CorruptData(f"{name}: {key} must be a mapping")
    for key in ("artifact_path", "run_id", "model_uuid", "mlflow_version", "model_id"):
        if not isinstance(content.get(key) or "", str):
            raise CorruptData(f"{name}: {key} must be text")


class ModelInfo:
    """What is known of a logged or saved model.

    Attributes:
        artifact_path: Its folder in the run.
        flavors: The rows of each flavor.
        model_uri: The URI to load it by.
        model_uuid, model_id: Its id.
        run_id: The run that logged it.
        saved_input_example_info: How its example is kept.
        signature, signature_dict: What it takes and gives.
        utc_time_created: When it was made.
        mlflow_version: The version of MLflow whose format it has.
        metadata: What people wanted kept with it.
        registered_model_version: Its version in the registry, where it was registered.
    """

    def __init__(
        self,
        model: Model,
        model_uri: str | None = None,
        registered_model_version: int | None = None,
    ) -> None:
        self.artifact_path = model.artifact_path
        self.name = model.artifact_path
        self.flavors = model.flavors
        where = f"runs:/{model.run_id}/{model.artifact_path}" if model.run_id else ""
        self.model_uri = model_uri if model_uri is not None else where
        self.model_uuid = model.model_uuid
        self.model_id = model.model_id
        self.run_id = model.run_id
        self.saved_input_example_info = model.saved_input_example_info
        self.signature = model.signature
        self.signature_dict = None if model.signature is None else model.signature.to_dict()
        self.utc_time_created = model.utc_time_created
        self.mlflow_version = model.mlflow_version
        self.metadata = model.metadata
        self.registered_model_version = registered_model_version

    def __repr__(self) -> str:
        return f"ModelInfo(model_uri={self.model_uri!r}, flavors={sorted(self.flavors)})"

    def _repr_html_(self) -> str:
        from mlgit.entities.shown import fields_html

        parts = {
            "model_uri": self.model_uri,
            "flavors": sorted(self.flavors),
            "registered version": self.registered_model_version,
            **{k: v for k, v in (self.signature_dict or {}).items() if v},
            "created": self.utc_time_created,
            "metadata": self.metadata,
        }
        return fields_html("Model", parts)


def get_model_info(model_uri: str | os.PathLike[str]) -> ModelInfo:
    """What is known of a model; only its MLmodel is read.

    Args:
        model_uri: Any model URI.
    """
    return ModelInfo(Model.load(model_uri), os.fspath(model_uri))
