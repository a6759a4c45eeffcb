"""A measured figure beside its reference and its target, and how many measurements become one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class BenchError(Exception):
    """A benchmark cannot be run, or met something that makes its figures worthless; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """The bound of a figure's `value`, of its `ratio` to the reference, or of its `difference` from the reference."""

    of: Literal["value", "ratio", "difference"]
    bound: float
    at_least: bool = False


@dataclass(frozen=True)
class Figure:
    """One line of the table. `value` and `reference` have the same `unit`; `beside` says what the reference is."""

    part: str
    name: str
    value: float
    unit: str
    reference: float | None = None
    beside: str = ""
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the reference; None without one that is more than nothing."""
        return self.value / self.reference if self.reference and self.reference > 0 else None

    @property
    def difference(self) -> float | None:
        """By how much the value exceeds the reference; None without one."""
        return None if self.reference is None else self.value - self.reference

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None when there is no target, or nothing to compare."""
        if self.target is None:
            return None
        found = {"value": self.value, "ratio": self.ratio, "difference": self.difference}[self.target.of]
        if found is None:
            return None
        return found >= self.target.bound if self.target.at_least else found <= self.target.bound


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie, between two of them if need be."""
    if not values:
        raise BenchError("Nothing was measured: give more --seconds.")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)
