"""What pipelines take and give where no example says more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlgit.transformers.tasks import family

if TYPE_CHECKING:
    from mlgit.models.signature import ModelSignature

_INPUTS = {
    "question-answering": ("question", "context"),
    "zero-shot-classification": ("sequences", "candidate_labels", "hypothesis_template"),
}
_OUTPUTS = {
    "text-classification": (("string", "label"), ("double", "score")),
    "zero-shot-classification": (
        ("string", "sequence"),
        ("string", "labels"),
        ("double", "scores"),
    ),
}


def default_signature(task: str) -> ModelSignature:
    """The signature of a task's pipelines, as MLflow has it.

    Args:
        task: A task that has a pyfunc face.
    """
    import numpy as np

    from mlgit.models.signature import ModelSignature
    from mlgit.types.schema import ColSpec, Schema, TensorSpec

    task = family(task)
    inputs = [ColSpec("string", name) for name in _INPUTS.get(task, ())] or [ColSpec("string")]
    outputs = [ColSpec(kind, name) for kind, name in _OUTPUTS.get(task, ())]
    if task == "feature-extraction":
        tensor = TensorSpec(np.dtype("float64"), (-1,), "double")
        return ModelSignature(Schema(inputs), Schema([tensor]))
    return ModelSignature(Schema(inputs), Schema(outputs or [ColSpec("string")]))
