"""Lets many executions live at once, at a given rate: a heap of timed steps, one connection, no threads."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count as counting
from threading import Event
from time import monotonic

from executions.simulator.lives import Life, Step

# Four cameras of a node send within five seconds.
BURST, BURST_SPACING_S = 4, 1.0


@dataclass(slots=True)
class Summary:
    """What a run wrote: executions by scenario name, and how long it took in seconds."""

    written: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0

    @property
    def total(self) -> int:
        """All executions."""
        return sum(self.written.values())


class Schedule:
    """Starts `lives` at `rate` per second until `stop` is set or `count` (0: no limit) have started."""

    def __init__(self, lives: Iterator[Life], rate: float, count: int, stop: Event) -> None:
        self.lives, self.rate, self.count, self.stop = lives, rate, count, stop
        self._heap: list[tuple[float, int, Life | None, Iterator[Step]]] = []
        self._order = counting()

    def run(self, ended: Callable[[Life], None] = lambda life: None) -> Summary:
        """Run to the end, calling `ended` after each execution. Once stopped, begun executions end without waiting."""
        summary, begin = Summary(), monotonic()
        self._plan_arrival(0, begin)
        while self._heap:
            due, _, life, steps = heapq.heappop(self._heap)
            self.stop.wait(max(0.0, due - monotonic()))
            if life is None:
                next(steps, None)
            elif (step := next(steps, None)) is None:
                summary.written[life.scenario.name] += 1
                ended(life)
            else:
                self._push(due + step.wait_ms / 1000, life, steps)
        summary.took_s = monotonic() - begin
        return summary

    def _push(self, due: float, life: Life | None, steps: Iterator[Step]) -> None:
        heapq.heappush(self._heap, (due, next(self._order), life, steps))

    def _plan_arrival(self, number: int, begin: float) -> None:
        if self.count and number >= self.count:
            return
        spacing = min(BURST_SPACING_S, 1 / self.rate)
        due = begin + number // BURST * BURST / self.rate + number % BURST * spacing
        self._push(due, None, self._arrive(number, begin))

    def _arrive(self, number: int, begin: float) -> Iterator[Step]:
        if self.stop.is_set():
            return
        life = next(self.lives)
        self._push(monotonic(), life, life.steps())
        self._plan_arrival(number + 1, begin)
        yield Step("arrived", 0)
