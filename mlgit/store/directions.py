"""Which way metrics are good: as a run or the team says, else by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from mlgit.exceptions import CorruptData
from mlgit.git import Repository
from mlgit.store import configfile

# A tag of a run that says which way a metric is good: "min" or "max".
DIRECTION_TAG = "mlgit.direction."

_LOWER = (
    "loss|error|err|rmse|mae|mse|mape|smape|rmsle|msle|logloss|perplexity|ppl|wer|cer|fid|nll|"
    "brier|bce|fpr|fnr|hamming|deviance"
)
_HIGHER = (
    "acc|accuracy|auc|auroc|auprc|f1|fbeta|precision|recall|r2|iou|miou|dice|bleu|rouge[12l]?|"
    "ndcg|mrr|kappa|mcc|tpr|tnr|sensitivity|specificity|psnr|ssim"
)
_IS_LOWER = re.compile(rf"({_LOWER}|\w*(loss|error))\Z")
_IS_HIGHER = re.compile(rf"({_HIGHER}|\w*accuracy)\Z")
_SAID = {"lower": "min", "min": "min", "higher": "max", "max": "max", "neutral": None}
_WORD = re.compile(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def direction(
    name: str, tags: Mapping[str, str], declared: Mapping[str, str | None] | None = None
) -> str | None:
    """Which way a metric is good.

    Args:
        name: The metric.
        tags: A run's; ``mlgit.direction.<metric>`` = ``min`` or ``max`` decides.
        declared: The team's directions, by name or pattern (``val_*``), which come next.

    Returns:
        "min", "max", or None: neither declared, nor plain from the words of the name.
    """
    said = tags.get(DIRECTION_TAG + name, "").strip().lower()
    if said in ("min", "max"):
        return said
    if declared:
        pattern = name if name in declared else _pattern(name, declared)
        if pattern is not None:
            return declared[pattern]
    words = [word.lower() for word in _WORD.findall(name)]
    lower = any(_IS_LOWER.match(word) for word in words)
    higher = any(_IS_HIGHER.match(word) for word in words)
    if lower == higher:
        return None  # neither, or both, as in accuracy_loss
    # scikit-learn's neg_mean_squared_error and the like.
    return "max" if higher or "neg" in words else "min"


def _pattern(name: str, declared: Mapping[str, str | None]) -> str | None:
    return next((text for text in declared if fnmatchcase(name, text)), None)


def declared_directions(repo: Repository) -> dict[str, str | None]:
    """The directions that the configuration's section ``metrics`` declares.

    Returns:
        "min", "max" or None (``neutral``) by a metric's name or pattern.

    Raises:
        CorruptData: It says something else of a metric, or a configuration file doesn't parse.
        Unsupported: One is of a later version.
    """
    found: dict[str, str | None] = {}
    for section in configfile.read_section(repo, "metrics"):
        for name, said in section.items():
            if str(said).lower() not in _SAID:
                raise CorruptData(
                    f"The configuration says metrics: {name}: {said!r}",
                    hint="say lower, higher or neutral",
                )
            found[str(name)] = _SAID[str(said).lower()]
    return found
