"""Digests of data: the same eight hex digits that MLflow computes for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

# Only the first values are hashed, so that a digest of any data takes milliseconds.
_FIRST = 10_000


def frame_digest(frame: Any) -> str:
    """The digest of a pandas frame.

    It covers the first 10,000 rows of the columns that are numbers, or text in every row;
    the number of rows; and the names of all columns.
    """
    import numpy as np
    import pandas as pd

    types = frame.map(type) if hasattr(frame, "map") else frame.applymap(type)
    text = frame.columns[(types == str).all(axis=0)]
    first = frame.head(_FIRST)
    hashed = first[text.union(first.select_dtypes(include=[np.number]).columns)]
    rows = pd.util.hash_pandas_object(hashed).to_numpy()
    return _md5([rows, np.int64(len(frame)), *(str(name).encode() for name in frame.columns)])


def arrays_digest(*data: Any) -> str:
    """The digest of numpy arrays and dicts of them: the first values, and each one's shape."""
    import numpy as np
    import pandas as pd

    parts: list[Any] = []
    for item in data:
        if item is None:
            continue
        arrays = [item[key] for key in sorted(item)] if isinstance(item, dict) else [item]
        for array in arrays:
            first = array.flatten()[:_FIRST]
            try:
                parts.append(pd.util.hash_array(first))
            except TypeError:  # values that pandas can't hash
                parts.append(np.int64(first.size))
            parts += [np.int64(length) for length in array.shape]
    return _md5(parts)


def _md5(parts: Iterable[Any]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:8]
