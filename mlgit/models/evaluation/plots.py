"""The plots of an evaluation. Each returns a figure; pyplot and its state aren't used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlgit.exceptions import MissingDependency
from mlgit.models.evaluation.classifier import Classified, precision_recall_auc, roc_auc

# With more classes the cells of a confusion matrix have no room for numbers.
_MOST_CELLS = 25
_GREY = "#999999"


def new_figure(width: float = 6.4, height: float = 4.8) -> tuple[Any, Any]:
    """A figure and its axes.

    Raises:
        MissingDependency: matplotlib isn't installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency(
            "Plots need matplotlib, which isn't installed", hint="pip install mlgit[images]"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def confusion_matrix(found: Classified) -> Any:
    """Rows are the true classes, and each sums up to 1."""
    from sklearn import metrics

    labels = found.labels
    cells = metrics.confusion_matrix(
        found.targets,
        found.predictions,
        labels=labels,
        sample_weight=found.weights,
        normalize="true",
    )
    side = min(4 + 0.35 * len(labels), 20)
    figure, axes = new_figure(side + 1, side)
    image = axes.imshow(cells, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes)
    axes.set_xticks(range(len(labels)), [str(label) for label in labels], rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), [str(label) for label in labels])
    if len(labels) <= _MOST_CELLS:
        for row in range(len(labels)):
            for column in range(len(labels)):
                value = cells[row, column]
                colour = "white" if value > 0.5 else "black"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    axes.set(title="Normalized confusion matrix", xlabel="Predicted", ylabel="True")
    return figure


def _each_class(found: Classified) -> list[tuple[str, Classified]]:
    """Two classes are one curve, more are one each."""
    if found.is_binary:
        return [(f"Positive class {found.labels[1]}", found)]
    return [(str(label), found.against_the_rest(at)) for at, label in enumerate(found.labels)]


def roc_curve(found: Classified) -> Any:
    """True against false positives, with the area under the curve."""
    from sklearn import metrics

    figure, axes = new_figure()
    for name, one in _each_class(found):
        truth = one.targets == one.labels[1]
        if truth.all() or not truth.any():
            continue  # no curve: one of the axes isn't defined
        x, y, _ = metrics.roc_curve(truth, one.probabilities[:, 1], sample_weight=one.weights)
        axes.step(x, y, where="post", label=f"{name}, AUC = {roc_auc(one):.3f}")
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--")
    axes.set(title="ROC curve", xlabel="False positive rate", ylabel="True positive rate")
    _legend(axes)
    return figure


def precision_recall_curve(found: Classified) -> Any:
    """Precision against recall, with the area under the curve."""
    from sklearn import metrics

    figure, axes = new_figure()
    for name, one in _each_class(found):
        truth = one.targets == one.labels[1]
        if not truth.any():
            continue
        precision, recall, _ = metrics.precision_recall_curve(
            truth, one.probabilities[:, 1], sample_weight=one.weights
        )
        label = f"{name}, AUC = {precision_recall_auc(one):.3f}"
        axes.step(recall, precision, where="post", label=label)
    axes.set(title="Precision-recall curve", xlabel="Recall", ylabel="Precision")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    _legend(axes)
    return figure


def lift_curve(found: Classified) -> Any:
    """How many more of a class the surest rows hold than rows taken at random.

    Raises:
        ValueError: A class isn't in the data.
    """
    import numpy as np

    figure, axes = new_figure()
    for at, label in enumerate(found.labels):
        truth = (found.targets == label)[np.argsort(-found.probabilities[:, at], kind="stable")]
        if not truth.any():
            raise ValueError(f"no row of the data is of class {label}")
        taken = np.arange(1, len(truth) + 1)
        axes.plot(taken / len(truth), truth.cumsum() / taken / truth.mean(), label=f"Class {label}")
    axes.axhline(1, color=_GREY, linestyle="--", label="At random")
    axes.set(title="Lift curve", xlabel="Part of the rows", ylabel="Lift")
    _legend(axes)
    return figure


def calibration_curve(found: Classified) -> Any:
    """How often rows are of a class that were said to be so with some probability."""
    from sklearn.calibration import calibration_curve as points

    figure, axes = new_figure()
    for name, one in _each_class(found):
        truth = (one.targets == one.labels[1]).astype(int)
        if truth.all() or not truth.any():
            continue
        scores = one.probabilities[:, 1].clip(0, 1)
        y, x = points(truth, scores, n_bins=10)
        axes.plot(x, y, marker="o", label=name)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="Perfectly calibrated")
    axes.set(title="Calibration curve", xlabel="Mean predicted probability")
    axes.set(ylabel="Fraction of positives")
    _legend(axes)
    return figure


def residuals(y: Any, p: Any) -> Any:
    """Predictions against their errors."""
    figure, axes = new_figure()
    axes.scatter(p, y - p, s=12, alpha=0.6)
    axes.axhline(0, color=_GREY, linestyle="--")
    axes.set(title="Residuals", xlabel="Predicted", ylabel="True - predicted")
    return figure


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")


def classifier_plots(found: Classified, most_classes: int) -> dict[str, Callable[[], Any]]:
    """The plots of a classifier: names → functions that draw them.

    Args:
        found: What it said.
        most_classes: With more of them, curves of each would be unreadable.
    """
    plots: dict[str, Callable[[], Any]] = {}
    if found.probabilities is not None:
        if found.is_binary or len(found.labels) <= most_classes:
            plots["roc_curve_plot"] = lambda: roc_curve(found)
            plots["precision_recall_curve_plot"] = lambda: precision_recall_curve(found)
        if found.is_binary:
            plots["lift_curve_plot"] = lambda: lift_curve(found)
        plots["calibration_curve_plot"] = lambda: calibration_curve(found)
    plots["confusion_matrix"] = lambda: confusion_matrix(found)
    return plots
