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


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is told to go on: a whole life in no time."""

    time: datetime

    def now(self) -> datetime:
        return self.time

    def go_on(self, ms: int) -> None:
        self.time += timedelta(milliseconds=ms)


@dataclass(slots=True)
class _Begun:
    life: Life
    clock: Clock
    steps: Iterator[Step]


class Simulator:
    """An n8n without n8n. `url` is the address of its database; close it, or use it as a context manager.

    `version` is found from the tables. `binary_mode` is memory, filesystem (needs `binary_path`) or database;
    `storage` makes a 2.x keep execution data in files below that folder. `size` is that of drawn frames, in pixels.
    The same `seed` draws the same executions.
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
    ) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(
            url, autocommit=True, application_name="simulate_n8n"
        )
        self.version = version or guard.detect_version(self.connection)
        self.random, self.size = Random(seed), size
        self.studio = Studio()
        self.planner = Planner(self.version, Random(seed))
        self.writer = Writer(self.connection, self.version, storage)
        self.binaries = Binaries(binary_mode, binary_path, self.version, workflow_id, self.connection)
        guard.ensure_workflow(self.connection, self.version, workflow_id)
        self._begun: dict[int, _Begun] = {}

    def run_one(self, scenario: str | Scenario = "smoke_json", **overrides: Any) -> int:
        """Write the whole life of one execution at once, and return its id. For `overrides` see `shot`."""
        return self.finish(self.begin(scenario, **overrides))

    def begin(self, scenario: str | Scenario = "smoke_json", *, until: str = "started", **overrides: Any) -> int:
        """Write an execution up to the step called `until` (such as inserted, running, started); returns its id."""
        chosen = scenario if isinstance(scenario, Scenario) else scenarios.named(scenario)
        life, clock = self._life(chosen, overrides)
        begun = _Begun(life, clock, life.steps())
        for step in begun.steps:
            clock.go_on(step.wait_ms)
            if step.name == until:
                break
        self._begun[life.execution_id] = begun
        return life.execution_id

    def step(self, execution_id: int) -> Step | None:
        """Write the next commit of a begun execution; None when there is none left."""
        begun = self._begun[execution_id]
        step = next(begun.steps, None)
        if step:
            begun.clock.go_on(step.wait_ms)
        return step

    def finish(self, execution_id: int) -> int:
        """Write all that is left of a begun execution, and return its id."""
        while self.step(execution_id):
            pass
        del self._begun[execution_id]
        return execution_id

    def steps(self, scenario: str | Scenario = "smoke_json", **overrides: Any) -> Iterator[Step]:
        """The life of one execution, one commit at each iteration."""
        execution_id = self.begin(scenario, until="inserted", **overrides)
        yield Step("inserted", 0)
        while step := self.step(execution_id):
            yield step

    def shot(self, scenario: Scenario, overrides: dict[str, Any]) -> tuple[Scenario, Shot]:
        """What the camera sends: drawn, unless `overrides` gives it.

        Overrides: `camera` (fleet.SimulatedCamera), `captured_at` (aware datetime), `image` (bytes), `size` (pixels),
        and any field of Scenario, such as `boxes`, `vision` or `mode`.
        """
        overrides = dict(overrides)
        camera = overrides.pop("camera", None) or self.random.choice(fleet.CAMERAS)
        at = overrides.pop("captured_at", None) or datetime.now(UTC)
        size, image = overrides.pop("size", self.size), overrides.pop("image", None)
        scenario = replace(scenario, **overrides)
        picture = self.studio.picture(camera.seed, at.astimezone(fleet.CORDOBA), size, scenario.boxes)
        content = picture.content if image is None else image
        return scenario, Shot(camera, at, size, _damaged(scenario, content), picture.brightness)

    def lives(self, scenes: Iterator[Scene]) -> Iterator[Life]:
        """An execution for each scene, its image taken now; iterate its `steps()` as time goes by."""
        for scene in scenes:
            scenario, shot = self.shot(scene.scenario, {"camera": scene.camera})
            yield Life(self.writer, self.planner, self.binaries, scenario, shot, _now, self.random)

    def _life(self, scenario: Scenario, overrides: dict[str, Any]) -> tuple[Life, Clock]:
        scenario, shot = self.shot(scenario, overrides)
        clock = Clock(shot.captured_at + timedelta(milliseconds=120))
        return Life(self.writer, self.planner, self.binaries, scenario, shot, clock.now, self.random), clock

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _damaged(scenario: Scenario, image: bytes) -> bytes:
    """The image as this scenario spoils it."""
    if scenario.image == "truncated":
        return image[: len(image) * 3 // 5]
    return {
        "not_an_image": b"hello world" * 40,
        "corrupt": b"\xff\xd8\xff\xe0" + b"\x13garbage" * 63 + b"\x00\x00",
    }.get(scenario.image, image)
