"""The metrics of a classifier; scikit-learn computes them. Names are MLflow's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.evaluation.config import Config


@dataclass(frozen=True)
class Classified:
    """What a classifier said about rows.

    Attributes:
        targets: The true classes, an array.
        predictions: The predicted ones.
        labels: All classes, sorted; of two the positive one is the last.
        probabilities: A row a row and a column a label, or None.
        weights: A weight a row, or None.
    """

    targets: Any
    predictions: Any
    labels: Any
    probabilities: Any
    weights: Any

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.labels) == 2

    def against_the_rest(self, at: int) -> Classified:
        """The same as two classes: one of the labels, and all others."""
        import numpy as np

        label, columns = self.labels[at], None
        if self.probabilities is not None:
            one = self.probabilities[:, at]
            columns = np.column_stack([1 - one, one])
        return Classified(
            (self.targets == label).astype(int),
            (self.predictions == label).astype(int),
            np.array([0, 1]),
            columns,
            self.weights,
        )


def classified(
    targets: Any, predictions: Any, probabilities: Any, classes: Any, config: Config
) -> Classified:
    """Sort out which classes there are.

    Args:
        targets: The true classes, a series.
        predictions: The predicted ones.
        probabilities: A column a class of ``classes``, or None.
        classes: The classes that the model knows, or None.
        config: Names the positive class, and the weights.

    Raises:
        InvalidParameterValue: There is only one class, classes of several types, or the
            positive one isn't there.
    """
    import numpy as np

    true, said = targets.tolist(), predictions.tolist()
    try:
        # Not unique(): it would make text of numbers beside text.
        labels = np.array(sorted({*true, *said}))
    except TypeError:
        raise InvalidParameterValue(
            f"Targets and predictions aren't of one kind: such as {true[0]!r} and {said[0]!r}"
        ) from None
    # By way of lists: pandas' own types, such as Int64, are numpy's then.
    y, p = np.array(true), np.array(said)
    if len(labels) < 2:
        raise InvalidParameterValue(
            f"Targets and predictions are all of one class: {labels.tolist()[0]!r}",
            "INTERNAL_ERROR",
            hint="evaluate on rows of two classes or more",
        )
    if probabilities is not None and classes is not None:
        if probabilities.ndim != 2 or set(labels.tolist()) - set(np.asarray(classes).tolist()):
            probabilities = None  # classes that the model doesn't know: no column for them
        else:
            labels = np.asarray(classes)
    elif probabilities is not None and probabilities.shape[1:] != (len(labels),):
        probabilities = None
    if len(labels) == 2 and config.pos_label is not None:
        if config.pos_label not in labels.tolist():
            raise InvalidParameterValue(
                f"pos_label {config.pos_label!r} is none of the classes {labels.tolist()}"
            )
        if config.pos_label == labels[0]:
            labels = labels[::-1]
            probabilities = None if probabilities is None else probabilities[:, ::-1]
    return Classified(y, p, labels, probabilities, config.sample_weights)


def classifier_metrics(found: Classified, average: str) -> dict[str, Any]:
    """All metrics of a classifier, by MLflow's names."""
    return _binary_metrics(found) if found.is_binary else _multiclass_metrics(found, average)


def _common(found: Classified, **average: Any) -> dict[str, Any]:
    from sklearn import metrics

    y, p, weights = found.targets, found.predictions, found.weights
    result: dict[str, Any] = {
        "example_count": len(y),
        "accuracy_score": float(metrics.accuracy_score(y, p, sample_weight=weights)),
    }
    for name in ("recall_score", "precision_score", "f1_score"):
        compute = getattr(metrics, name)
        result[name] = float(compute(y, p, sample_weight=weights, zero_division=0, **average))
    return result


def _binary_metrics(found: Classified) -> dict[str, Any]:
    from sklearn import metrics

    y, labels = found.targets, found.labels
    counts = metrics.confusion_matrix(y, found.predictions, labels=labels).ravel().tolist()
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    result = {**dict(zip(names, counts)), **_common(found, pos_label=labels[1])}
    if found.probabilities is not None:
        result["log_loss"] = _log_loss(found)
        result["roc_auc"] = roc_auc(found)
        result["precision_recall_auc"] = precision_recall_auc(found)
    return result


def _multiclass_metrics(found: Classified, average: str) -> dict[str, Any]:
    result = _common(found, average=average)
    if found.probabilities is not None:
        result["log_loss"] = _log_loss(found)
        result["roc_auc"] = _multiclass_roc_auc(found, average)
    return result


def _log_loss(found: Classified) -> float:
    from sklearn import metrics

    # Scikit-learn wants the columns in the order of the sorted labels.
    order = sorted(range(len(found.labels)), key=lambda at: found.labels[at])
    return float(
        metrics.log_loss(
            found.targets,
            found.probabilities[:, order],
            labels=found.labels[order],
            sample_weight=found.weights,
        )
    )


def roc_auc(found: Classified) -> float:
    """The area under the ROC curve of two classes; NaN where the targets are of one."""
    from sklearn import metrics

    truth = found.targets == found.labels[1]
    if truth.all() or not truth.any():
        return float("nan")
    scores = found.probabilities[:, 1]
    return float(metrics.roc_auc_score(truth, scores, sample_weight=found.weights))


def precision_recall_auc(found: Classified) -> float:
    """The average precision of two classes: the area below the steps of the curve."""
    from sklearn import metrics

    truth = found.targets == found.labels[1]
    scores = found.probabilities[:, 1]
    return float(metrics.average_precision_score(truth, scores, sample_weight=found.weights))


def _multiclass_roc_auc(found: Classified, average: str) -> float:
    """Each class against the rest, averaged. Classes that aren't in the data have no area."""
    import numpy as np
    from sklearn import metrics

    if set(found.labels.tolist()) <= set(found.targets.tolist()):
        return float(
            metrics.roc_auc_score(
                found.targets,
                found.probabilities,
                average=average,
                multi_class="ovr",
                sample_weight=found.weights,
                labels=found.labels,
            )
        )
    areas, sizes = [], []
    for at, label in enumerate(found.labels):
        if (found.targets == label).any():
            areas.append(roc_auc(found.against_the_rest(at)))
            rows = found.targets == label
            sizes.append(rows.sum() if found.weights is None else found.weights[rows].sum())
    return float(np.average(areas, weights=sizes if average == "weighted" else None))


def per_class_metrics(found: Classified, *, with_areas: bool) -> Any:
    """A frame with a row a class: the metrics of the class against the rest."""
    import pandas as pd

    rows = []
    for at, label in enumerate(found.labels):
        one = found.against_the_rest(at)
        row = {"positive_class": label, **_binary_metrics(one)}
        row.pop("log_loss", None)
        if not with_areas:
            row.pop("roc_auc", None)
            row.pop("precision_recall_auc", None)
        rows.append(row)
    return pd.DataFrame(rows)
