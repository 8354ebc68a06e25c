"""From a path, URL or record to a source."""

from __future__ import annotations

import re
from typing import Any

from mlgit import entities
from mlgit.data.code_dataset_source import CodeDatasetSource, this_program
from mlgit.data.dataset import Dataset
from mlgit.data.dataset_source import DatasetSource
from mlgit.data.filesystem_dataset_source import (
    SCHEMES,
    LocalArtifactDatasetSource,
    StorageDatasetSource,
    source_of_path,
)
from mlgit.data.http_dataset_source import HTTPDatasetSource
from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist

_BY_TYPE: dict[str, type[DatasetSource]] = {
    "code": CodeDatasetSource,
    "http": HTTPDatasetSource,
    "local": LocalArtifactDatasetSource,
    **dict.fromkeys(SCHEMES, StorageDatasetSource),
}


def register_dataset_source(source: type[DatasetSource]) -> None:
    """Make a source type of one's own known, for ``get_source``."""
    _BY_TYPE[source._get_source_type()] = source


def get_registered_sources() -> list[type[DatasetSource]]:
    """The source types that are known."""
    return list(dict.fromkeys(_BY_TYPE.values()))


def resolve_dataset_source(raw_source: Any, candidate_sources: Any = None) -> DatasetSource:
    """The source that a path, URI or source object names.

    Args:
        raw_source: A local path, an http(s) address, a URI of storage, or a source.
        candidate_sources: Types of sources it must be one of; any where none are given.

    Raises:
        ResourceDoesNotExist: It is none of these.
    """
    found: DatasetSource | None
    if isinstance(raw_source, DatasetSource):
        found = raw_source
    elif isinstance(raw_source, str) and re.match(r"(?i)https?:", raw_source):
        found = HTTPDatasetSource(raw_source)
    else:
        found = source_of_path(raw_source)
    if found is None or (candidate_sources and not isinstance(found, tuple(candidate_sources))):
        raise ResourceDoesNotExist(
            f"{raw_source!r} isn't a dataset source that mlgit knows",
            hint="give a local path, an http(s) address, or a URI of " + ", ".join(SCHEMES),
        )
    return found


def source_or_program(raw_source: Any) -> DatasetSource:
    """As ``resolve_dataset_source``; the running program where None is given."""
    return this_program() if raw_source is None else resolve_dataset_source(raw_source)


def get_dataset_source_from_json(source_json: str, source_type: str) -> DatasetSource:
    """The source that a record describes.

    Args:
        source_json: What ``to_json`` gave.
        source_type: Its kind.

    Raises:
        ResourceDoesNotExist: There is no such kind.
    """
    kind = _BY_TYPE.get(source_type)
    if kind is None:
        raise ResourceDoesNotExist(
            f"There is no dataset source of the type {source_type!r}",
            hint="known types: " + ", ".join(sorted(_BY_TYPE)),
        )
    return kind.from_json(source_json)


def get_source(dataset: Dataset | entities.Dataset | entities.DatasetInput) -> DatasetSource:
    """The source of a dataset, logged (``run.inputs.dataset_inputs``) or not.

    Raises:
        InvalidParameterValue: It isn't a dataset.
    """
    if isinstance(dataset, Dataset):
        return dataset.source
    entity = dataset.dataset if isinstance(dataset, entities.DatasetInput) else dataset
    if not isinstance(entity, entities.Dataset):
        raise InvalidParameterValue(f"This isn't a dataset: {type(dataset).__name__}")
    return get_dataset_source_from_json(entity.source, entity.source_type)
