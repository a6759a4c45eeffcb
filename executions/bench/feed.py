"""A simulated n8n with frames drawn beforehand, so that drawing takes no time from what is measured.

    N8N_DATABASE_URL=... python -m executions.bench.feed FRAMES --rate R --count N [--workflow-id ID]

writes executions at a rate; each ends soon after its beginning.
"""

import argparse
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from types import TracebackType
from typing import Self

from executions.simulator import Run, Simulator
from executions.simulator.fleet import CAMERAS
from executions.simulator.landscape import jpeg, render
from executions.simulator.scenarios import Scenario, named

Size = tuple[int, int]
# How long an execution runs here. Real ones take seconds, most of them in the vision model.
LASTING_S = 0.3
FULL_HD, UHD = (1920, 1080), (3840, 2160)
# With a vision model that answers quickly: the time that it takes is not ours.
SCENARIO: Scenario = replace(named("smoke"), vision_ms=300)


def draw(folder: Path, size: Size, frames: int) -> Path:
    """Draw so many frames into a folder of this size's own, unless they are there."""
    target = folder / f"frames-{size[0]}x{size[1]}"
    target.mkdir(exist_ok=True)
    at = datetime(2026, 2, 19, 15, 30, tzinfo=UTC)
    for camera in CAMERAS[len(list(target.iterdir())) : frames]:
        image = render(camera.seed, at, size, SCENARIO.boxes, camera.label)
        (target / f"{camera.site.device_id}-{camera.camera_id}.jpg").write_bytes(jpeg(image))
    return target


class Feed:
    """Writes executions whose frames come from a folder, each made unique by a comment in the file."""

    def __init__(self, url: str, frames: Path, workflow_id: str) -> None:
        self._simulator = Simulator(url, workflow_id=workflow_id)
        self._frames = cycle([(file.read_bytes(), _size(file)) for file in sorted(frames.iterdir())])
        self._numbers = count(1)

    def begin(self, until: str = "inserted") -> Run:
        """Write an execution up to this step; the last commit has just returned."""
        content, size = next(self._frames)
        comment = f"{time.time_ns()}-{next(self._numbers)}".encode()
        image = content[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + content[2:]
        return self._simulator.begin(SCENARIO, until=until, image=image, size=size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._simulator.close()


def at_rate(feed: Feed, rate: float, number: int) -> None:
    """Write so many executions at this rate, or as fast as it goes if that is slower."""
    begun: deque[tuple[float, Run]] = deque()
    start = time.monotonic()
    for index in range(number):
        while begun and begun[0][0] <= start + index / rate:
            _finish(begun)
        time.sleep(max(0.0, start + index / rate - time.monotonic()))
        begun.append((time.monotonic() + LASTING_S, feed.begin("started")))
    while begun:
        _finish(begun)


def _finish(begun: deque[tuple[float, Run]]) -> None:
    due, run = begun.popleft()
    time.sleep(max(0.0, due - time.monotonic()))
    run.finish()


def _size(frame: Path) -> Size:
    width, _, height = frame.parent.name.removeprefix("frames-").partition("x")
    return int(width), int(height)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--workflow-id", required=True)
    options = parser.parse_args(arguments)
    with Feed(os.environ["N8N_DATABASE_URL"], options.frames, options.workflow_id) as feed:
        at_rate(feed, options.rate, options.count)


if __name__ == "__main__":
    main()
