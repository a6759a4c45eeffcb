"""Writes executions into an n8n-shaped database, exactly as n8n does: for the demo, the tests and the benchmarks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import psycopg

from executions.simulator import fleet, guard, scenarios
from executions.simulator.binaries import Binaries, BinaryMode
from executions.simulator.fleet import Shot
from executions.simulator.landscape import Studio
from executions.simulator.lives import Life, Step
from executions.simulator.runs import Planner
from executions.simulator.scenarios import Scenario
from executions.simulator.story import Scene
from executions.simulator.writer import Writer

WORKFLOW_ID = "yDbfhooKemfhMIkC"
# How long the longest steps of an ending take: a life that is written at once began so long ago.
LASTS = {"crashed": timedelta(seconds=21), "canceled": timedelta(seconds=4), "waits": timedelta(seconds=2)}


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is told to go on: a whole life in no time."""

    time: datetime

    def now(self) -> datetime:
        return self.time

    def go_on(self, ms: int) -> None:
        self.time += timedelta(milliseconds=ms)


class Run:
    """An execution that has begun: go on with `step`, `until` or `finish`. `shot` is what the camera sent."""

    def __init__(self, life: Life, clock: Clock) -> None:
        self._life, self._clock, self._steps = life, clock, life.steps()

    @property
    def execution_id(self) -> int:
        """n8n's id."""
        return self._life.execution_id

    @property
    def retry_id(self) -> int | None:
        """The id of the execution that retried this one, once it has begun."""
        return self._life.retry.execution_id if self._life.retry else None

    @property
    def scenario(self) -> Scenario:
        """The scenario, with the overrides it was begun with."""
        return self._life.scenario

    @property
    def shot(self) -> Shot:
        """The camera, the time and the bytes that were sent."""
        return self._life.shot

    def step(self) -> Step | None:
        """Write the next commit; None when there is none left."""
        step = next(self._steps, None)
        if step:
            self._clock.go_on(step.wait_ms)
        return step

    def until(self, name: str) -> Self:
        """Write up to the step called `name`; raises ValueError when this life has none."""
        while step := self.step():
            if step.name == name:
                return self
        raise ValueError(f"Scenario {self.scenario.name} has no step {name!r} left.")

    def finish(self) -> int:
        """Write all that is left, and return the id."""
        while self.step():
            pass
        return self.execution_id


class Simulator:
    """An n8n without n8n. `url` is the address of its database; close it, or use it as a context manager.

    `version` is found from the tables. `binary_mode` is memory, filesystem (needs `binary_path`) or database;
    `storage` makes a 2.x keep execution data in files below that folder. `size` is that of drawn frames, in pixels.
    With `pool`, so many frames are drawn once and sent again and again. The same `seed` gives the same executions.
    """

    def __init__(
        self,
        url: str,
        version: str | None = None,
        binary_mode: BinaryMode = "memory",
        binary_path: Path | None = None,
        seed: int = 0,
        *,
        storage: Path | None = None,
        workflow_id: str = WORKFLOW_ID,
        size: tuple[int, int] = (640, 360),
        pool: int = 0,
        draw_hour: int | None = None,
    ) -> None:
        self.url, self.random, self.size = url, Random(seed), size
        self.studio = Studio(pool, draw_hour)
        self.connection: psycopg.Connection[Any] = psycopg.connect(
            url, autocommit=True, application_name="simulate_n8n"
        )
        try:
            self.version = version or guard.detect_version(self.connection)
            self.planner = Planner(self.version, Random(seed))
            self.writer = Writer(self.connection, self.version, storage)
            self.binaries = Binaries(binary_mode, binary_path, self.version, workflow_id, self.connection)
            guard.ensure_workflow(self.connection, self.version, workflow_id)
        except BaseException:
            self.close()
            raise

    def run_one(self, scenario: str | Scenario = "smoke", **overrides: Any) -> int:
        """Write the whole life of one execution at once, and return its id. For `overrides` see `begin`."""
        return self._run(scenario, overrides).finish()

    def begin(self, scenario: str | Scenario = "smoke", *, until: str = "started", **overrides: Any) -> Run:
        """Write an execution up to the step called `until`: row inserted (1.60.1), inserted, running, started, …

        Overrides: `camera` (fleet.SimulatedCamera), `captured_at` (aware datetime), `image` (bytes), `size` (pixels),
        and any field of Scenario, such as `boxes`, `vision` or `mode`.
        """
        return self._run(scenario, overrides).until(until)

    def steps(self, scenario: str | Scenario = "smoke", **overrides: Any) -> Iterator[Step]:
        """The life of one execution, one commit at each iteration."""
        run = self._run(scenario, overrides)
        while step := run.step():
            yield step

    def lives(self, scenes: Iterator[Scene]) -> Iterator[Life]:
        """An execution for each scene, its image taken now; iterate its `steps()` as time goes by."""
        for scene in scenes:
            scenario, shot = self._shot(scene.scenario, {"camera": scene.camera})
            yield Life(self.writer, self.planner, self.binaries, scenario, shot, _now, self.random)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, scenario: str | Scenario, overrides: dict[str, Any]) -> Run:
        chosen = scenario if isinstance(scenario, Scenario) else scenarios.named(scenario)
        took = timedelta(milliseconds=chosen.queued_ms + chosen.vision_ms + 800)
        overrides.setdefault("captured_at", _now() - LASTS.get(chosen.ending, timedelta()) - took)
        chosen, shot = self._shot(chosen, overrides)
        clock = Clock(shot.captured_at + timedelta(milliseconds=120))
        life = Life(self.writer, self.planner, self.binaries, chosen, shot, clock.now, self.random)
        return Run(life, clock)

    def _shot(self, scenario: Scenario, overrides: dict[str, Any]) -> tuple[Scenario, Shot]:
        """What the camera sends: drawn, unless `overrides` gives it."""
        overrides = dict(overrides)
        camera = overrides.pop("camera", None) or self.random.choice(fleet.CAMERAS)
        at, size = overrides.pop("captured_at", None) or _now(), overrides.pop("size", self.size)
        image = overrides.pop("image", None)
        scenario = replace(scenario, **overrides)
        local = at.astimezone(fleet.CORDOBA)
        if image is not None:
            return scenario, Shot(camera, at, size, image)
        picture = self.studio.picture(camera.seed, local, size, scenario.boxes, camera.label)
        return scenario, Shot(camera, at, size, _damaged(scenario, picture.content), picture.brightness)


def _now() -> datetime:
    return datetime.now(UTC)


def _damaged(scenario: Scenario, image: bytes) -> bytes:
    """The image as this scenario spoils it."""
    if scenario.image == "truncated":
        return image[: len(image) * 3 // 5]
    no_image = {"not_an_image": b"hello world" * 40, "corrupt": b"\xff\xd8\xff\xe0" + b"garbage" * 72 + b"\0\0"}
    return no_image.get(scenario.image, image)
