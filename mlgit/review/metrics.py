"""What changed in metrics, and whether for the better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlgit.store.directions import direction
from mlgit.store.record import Record


@dataclass(frozen=True)
class MetricChange:
    """One metric on both sides: its last values.

    Attributes:
        name: The metric.
        old, new: The values; None where it wasn't logged.
        direction: "min" where lower is better, "max" where higher is, None where unknown.
        noise: How far the two may be apart by chance, as runs of the same kind are; None where
            no such runs are known.
    """

    name: str
    old: float | None
    new: float | None
    direction: str | None = None
    noise: float | None = None

    @property
    def status(self) -> str:
        """ "added", "removed", "changed" or "unchanged"; NaN is the same as NaN."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        same = self.old == self.new or (math.isnan(self.old) and math.isnan(self.new))
        return "unchanged" if same else "changed"

    @property
    def change(self) -> float | None:
        """The new value less the old one; None where that isn't a number."""
        if self.old is None or self.new is None:
            return None
        if self.status == "unchanged":
            return 0.0
        difference = self.new - self.old
        return None if math.isnan(difference) else difference

    @property
    def relative(self) -> float | None:
        """The change as a part of the old value's size; None where that isn't finite."""
        if not self.old or self.change is None or not math.isfinite(self.old):
            return None
        part = self.change / abs(self.old)
        return part if math.isfinite(part) else None

    @property
    def is_noise(self) -> bool:
        """Whether it changed by no more than chance explains."""
        if self.noise is None or self.change is None or self.status != "changed":
            return False
        return abs(self.change) <= self.noise

    @property
    def verdict(self) -> str | None:
        """ "better" or "worse"; None where it didn't change, or only within the noise, or the
        direction is unknown.
        """
        if self.direction is None or self.status != "changed" or self.is_noise:
            return None
        assert self.old is not None and self.new is not None
        if math.isnan(self.old) or math.isnan(self.new):
            return "better" if math.isnan(self.old) else "worse"
        rose = self.new > self.old
        return "better" if rose == (self.direction == "max") else "worse"


def last_values(record: Record | None) -> dict[str, float] | None:
    """A run's metrics; None where there is no run."""
    return {name: point.value for name, point in record.last.items()} if record else None


def compare_metrics(
    old: Mapping[str, float] | None,
    new: Mapping[str, float] | None,
    tags: Mapping[str, str],
    declared: Mapping[str, str | None] | None = None,
    noise: Mapping[str, float] | None = None,
) -> tuple[MetricChange, ...]:
    """Every metric of two sides, by name.

    Args:
        old, new: The last values by name; None for a side without a record.
        tags: Where a run declares directions.
        declared: The team's directions, from ``declared_directions``.
        noise: How far the two sides' values may be apart by chance, by name.
    """
    before, after = old or {}, new or {}
    return tuple(
        MetricChange(
            name,
            before.get(name),
            after.get(name),
            direction(name, tags, declared),
            (noise or {}).get(name),
        )
        for name in sorted(before.keys() | after.keys())
    )
