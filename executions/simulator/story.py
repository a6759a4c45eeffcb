"""What the simulated cameras see, round after round: mostly nothing, and on some a plume that grows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from random import Random

from executions.simulator import scenarios
from executions.simulator.fleet import CAMERAS, SimulatedCamera
from executions.simulator.plume import FOOT
from executions.simulator.scenarios import Scenario
from executions.simulator.services import Box, vision_text
from executions.simulator.terrain import ridge

GROWING_ROUNDS, QUIET_ROUNDS = 10, 3
# Two cameras of different sites that look at one another's valley: the second sees the same fire from afar.
WITNESSES = (("Molinari", "cam1", "Valle Hermoso", "cam3"), ("La Cumbre", "cam1", "Cerro Uritorco", "cam3"))


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame to come: the camera, and what happens to its frame."""

    camera: SimulatedCamera
    scenario: Scenario


@dataclass(slots=True)
class Fire:
    """A plume that `near` sees, and from afar `far`; `age` counts rounds."""

    near: SimulatedCamera
    far: SimulatedCamera
    x: float
    age: int = 0

    def boxes(self, camera: SimulatedCamera) -> tuple[Box, ...]:
        """What this camera sees of it now: nothing, a thread of smoke, in the end a column with flames at its foot."""
        size = min(1.0, (self.age + 1) / GROWING_ROUNDS)
        if camera == self.near:
            return plume_boxes(camera, self.x, size)
        if camera == self.far and self.age >= 2:
            return plume_boxes(camera, 1 - self.x, size * 0.6)
        return ()


class Story:
    """An endless tour of the cameras, four of a site after another.

    With `only`, just these scenarios happen. Unless `moving`, boxes stay where the scenarios have them, so that
    a pool of frames is enough.
    """

    def __init__(self, random: Random, only: Sequence[Scenario] = (), *, moving: bool = True) -> None:
        self.random, self.only, self.moving = random, only, moving
        self._pairs = cycle(WITNESSES)
        self.fire = self._ignite()

    def scenes(self) -> Iterator[Scene]:
        """The scenes, without end."""
        while True:
            for camera in CAMERAS:
                yield Scene(camera, self._scenario(camera))
            self.fire.age += 1
            if self.fire.age > GROWING_ROUNDS + QUIET_ROUNDS:
                self.fire = self._ignite()

    def _ignite(self) -> Fire:
        near, near_camera, far, far_camera = next(self._pairs)
        return Fire(_camera(near, near_camera), _camera(far, far_camera), round(self.random.uniform(0.3, 0.7), 2))

    def _scenario(self, camera: SimulatedCamera) -> Scenario:
        if self.only or not self.moving:
            return scenarios.draw(self.random, self.only or scenarios.ALL)
        boxes = self.fire.boxes(camera) if self.fire.age <= GROWING_ROUNDS else ()
        if boxes:
            return replace(scenarios.named("smoke"), boxes=boxes, vision=vision_text(boxes))
        return self._moved(camera, scenarios.draw(self.random))

    def _moved(self, camera: SimulatedCamera, scenario: Scenario) -> Scenario:
        """The scenario with its boxes put onto slopes of this camera's landscape."""
        if not scenario.boxes:
            return scenario
        x = self.random.uniform(0.1, 0.75)
        boxes = tuple(_placed(camera, box, x + 0.09 * number) for number, box in enumerate(scenario.boxes))
        return replace(scenario, boxes=boxes)


def plume_boxes(camera: SimulatedCamera, x: float, size: float) -> tuple[Box, ...]:
    """The boxes of a plume that rises at `x` from a slope in this camera's view; `size` from 0 to 1."""
    foot = ridge(camera.seed, x) + 0.03
    width, height = 0.03 + 0.15 * size, 0.06 + 0.30 * size
    place = _inside(x - width * FOOT, foot - height, width, height)
    smoke = Box("smoke", round(0.46 + 0.44 * size, 4), place)
    if size < 0.7:
        return (smoke,)
    flames = Box("fire", round(0.35 + 0.5 * size, 4), _inside(x - 0.017, foot - 0.035, 0.035, 0.045))
    return flames, smoke


def _placed(camera: SimulatedCamera, box: Box, x: float) -> Box:
    width, height = box.bbox[2:]
    foot = ridge(camera.seed, x + width * FOOT) + 0.03
    return replace(box, bbox=_inside(x, foot - height, width, height))


def _inside(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """The box moved and cut so that it lies within the image."""
    x, y = min(max(x, 0.0), 1 - width), max(y, 0.02)
    return round(x, 4), round(y, 4), round(width, 4), round(min(height, 1 - y), 4)


def _camera(location: str, camera_id: str) -> SimulatedCamera:
    return next(each for each in CAMERAS if (each.site.location, each.camera_id) == (location, camera_id))
