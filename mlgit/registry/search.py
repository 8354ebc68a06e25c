"""Searches for models and versions, compiled to SQL over the registry's index."""

from __future__ import annotations

from collections.abc import Sequence

from mlgit.exceptions import InvalidParameterValue
from mlgit.store.filters import (
    MODEL_VERSIONS,
    REGISTERED_MODELS,
    OrderTerm,
    parse_filter,
    parse_order_by,
)
from mlgit.store.predicates import Sql, join, predicate, sort_key


def models(filter_text: str, order_by: Sequence[str] | None, limit: int, offset: int) -> Sql:
    """A query for the keys of the models that a filter matches.

    Raises:
        FilterError: The filter or a sort key doesn't parse.
    """
    node = parse_filter(filter_text, REGISTERED_MODELS)
    order = list(parse_order_by(order_by, REGISTERED_MODELS))
    if all(term.key != "name" for term in order):
        order.append(OrderTerm("attribute", "name", True))
    where = Sql("registered_models.present")
    if node is not None:
        where = join(" AND ", [where, predicate(node, "registered_models")])
    keys = join(", ", [sort_key(term, "registered_models") for term in order])
    return Sql(
        f"SELECT key FROM registered_models WHERE {where.text} ORDER BY {keys.text} "
        "LIMIT ? OFFSET ?",
        (*where.args, *keys.args, limit, offset),
    )


def versions(filter_text: str, order_by: Sequence[str] | None, limit: int, offset: int) -> Sql:
    """The condition, order and limit of a search for versions.

    Raises:
        FilterError: The filter or a sort key doesn't parse.
    """
    node = parse_filter(filter_text, MODEL_VERSIONS)
    order = list(parse_order_by(order_by, MODEL_VERSIONS))
    if not order:
        order.append(OrderTerm("attribute", "last_updated_timestamp", False))
    for key, ascending in (("name", True), ("version_number", False)):
        if all(term.key != key for term in order):
            order.append(OrderTerm("attribute", key, ascending))
    where = predicate(node, "model_versions") if node is not None else Sql("1")
    keys = join(", ", [sort_key(term, "model_versions") for term in order])
    return Sql(
        f"{where.text} ORDER BY {keys.text} LIMIT ? OFFSET ?",
        (*where.args, *keys.args, limit, offset),
    )


def page_size(given: object, most: int) -> int:
    """How many results a page may have.

    Raises:
        InvalidParameterValue: It isn't a positive integer of at most ``most``.
    """
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise InvalidParameterValue(
            f"Invalid value for max_results. It must be a positive integer, but got {given!r}"
        )
    if given > most:
        raise InvalidParameterValue(
            f"Invalid value for max_results. It must be at most {most}, but got {given}",
            hint="page_token brings the pages that follow",
        )
    return given
