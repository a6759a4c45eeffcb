"""What the simulated cameras see, round after round: mostly nothing, and on some a plume that grows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from executions.simulator import scenarios
from executions.simulator.fleet import CAMERAS, SimulatedCamera
from executions.simulator.plume import FOOT
from executions.simulator.scenarios import Scenario
from executions.simulator.services import FENCED_JSON, SMOKE_PROSE, Box
from executions.simulator.terrain import ridge

GROWING_ROUNDS, QUIET_ROUNDS = 10, 4


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame to come: the camera, and what happens to its frame."""

    camera: SimulatedCamera
    scenario: Scenario


@dataclass(slots=True)
class Fire:
    """A plume that one camera sees; `age` counts rounds, negative before it begins."""

    camera: SimulatedCamera
    x: float
    age: int = 0

    def boxes(self) -> tuple[Box, ...]:
        """Its boxes now: a thread at first, in the end a column with flames at its foot."""
        size = min(1.0, (self.age + 1) / GROWING_ROUNDS)
        foot = ridge(self.camera.seed, self.x) + 0.03
        width, height = 0.03 + 0.15 * size, 0.06 + 0.30 * size
        smoke = Box("smoke", round(0.46 + 0.44 * size, 4), _inside(self.x - width * FOOT, foot - height, width, height))
        if size < 0.7:
            return (smoke,)
        flame = Box("fire", round(0.40 + 0.45 * size, 4), _inside(self.x - 0.015, foot - 0.035, 0.035, 0.045))
        return flame, smoke


class Story:
    """An endless tour of the cameras, four of a site after another.

    With `only`, just these scenarios happen. Unless `moving`, boxes stay where the scenarios have them, so that
    a pool of frames is enough.
    """

    def __init__(self, random: Random, only: Sequence[Scenario] = (), *, moving: bool = True) -> None:
        self.random, self.only, self.moving = random, only, moving
        self.fire = Fire(CAMERAS[1], 0.62)
        self.quiet = 0

    def scenes(self) -> Iterator[Scene]:
        """The scenes, without end."""
        while True:
            for camera in CAMERAS:
                yield Scene(camera, self._scenario(camera))
            self._grow()

    def _scenario(self, camera: SimulatedCamera) -> Scenario:
        if self.only:
            return scenarios.draw(self.random, self.only)
        if not self.moving:
            return scenarios.draw(self.random)
        if camera == self.fire.camera and not self.quiet:
            boxes = self.fire.boxes()
            vision = FENCED_JSON if len(boxes) > 1 else SMOKE_PROSE
            return replace(scenarios.named("smoke"), boxes=boxes, vision=vision)
        return self._moved(camera, scenarios.draw(self.random))

    def _moved(self, camera: SimulatedCamera, scenario: Scenario) -> Scenario:
        """The scenario with its boxes put onto a slope of this camera's landscape."""
        if not scenario.boxes:
            return scenario
        x = self.random.uniform(0.1, 0.8)
        return replace(scenario, boxes=tuple(_placed(camera, box, x + 0.1 * n) for n, box in enumerate(scenario.boxes)))

    def _grow(self) -> None:
        if self.quiet:
            self.quiet -= 1
            return
        self.fire.age += 1
        if self.fire.age >= GROWING_ROUNDS + 2:
            self.fire, self.quiet = Fire(self.random.choice(CAMERAS), self.random.uniform(0.2, 0.8)), QUIET_ROUNDS


def _placed(camera: SimulatedCamera, box: Box, x: float) -> Box:
    width, height = box.bbox[2:]
    foot = ridge(camera.seed, x + width * FOOT) + 0.03
    return replace(box, bbox=_inside(x, foot - height, width, height))


def _inside(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """The box moved and cut so that it lies within the image."""
    x, y = min(max(x, 0.0), 1 - width), max(y, 0.02)
    return round(x, 4), round(y, 4), round(width, 4), round(min(height, 1 - y), 4)
