"""Search expressions as text again, for messages; ``filters.py`` reads it back the same."""

from __future__ import annotations

import re

from mlgit.store.filter_tokens import quote
from mlgit.store.filters import And, Comparison, Node, Not, Or, Value

_PLURAL = {k: f"{k}s" for k in ("metric", "param", "tag", "attribute", "dataset")}
_PLAIN = re.compile(r"[\w./:\-]+\Z")


def field_text(node: Comparison) -> str:
    """The field that a comparison is about: ``metrics.loss``."""
    key = node.key
    if not _PLAIN.match(key):
        key = f"`{key}`" if '"' in key else f'"{key}"'
    return f"{_PLURAL[node.kind]}.{key}"


def comparison_text(node: Comparison) -> str:
    """What a comparison asks of its field: ``>= 0.95``."""
    return node.op if node.op.startswith("IS") else f"{node.op} {_value(node.value)}"


def node_text(node: Node) -> str:
    """A whole expression."""
    if isinstance(node, Comparison):
        return f"{field_text(node)} {comparison_text(node)}"
    if isinstance(node, Not):
        return f"NOT ({node_text(node.term)})"
    glue = " AND " if isinstance(node, And) else " OR "
    return glue.join(
        f"({node_text(t)})" if isinstance(t, (And, Or)) else node_text(t) for t in node.terms
    )


def comparisons(node: Node) -> list[Comparison]:
    """The comparisons of an expression, in order."""
    if isinstance(node, Comparison):
        return [node]
    terms = (node.term,) if isinstance(node, Not) else node.terms
    return [found for term in terms for found in comparisons(term)]


def _value(value: Value) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(quote(item) for item in value)})"
    return quote(value) if isinstance(value, str) else str(value)
