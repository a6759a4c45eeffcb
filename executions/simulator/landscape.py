"""Frames drawn in code (first version)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from executions.simulator.services import Box


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG and the mean brightness (0 to 255) that the camera states for it."""

    content: bytes
    brightness: float


class Studio:
    """Draws pictures."""

    def picture(self, seed: int, at: datetime, size: tuple[int, int], boxes: Sequence[Box]) -> Picture:
        base = _base(seed, size).copy()
        draw = ImageDraw.Draw(base, "RGBA")
        for box in boxes:
            x, y, w, h = box.bbox
            edges = (x * size[0], y * size[1], (x + w) * size[0], (y + h) * size[1])
            draw.ellipse(edges, fill=(190, 190, 190, 170) if box.class_name == "smoke" else (255, 140, 20, 220))
        out = io.BytesIO()
        base.save(out, "JPEG", quality=88)
        return Picture(out.getvalue(), 118.4)


@lru_cache(maxsize=64)
def _base(seed: int, size: tuple[int, int]) -> Image.Image:
    random = Random(seed)
    sky = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", [sky.point(lambda v, a=a: 120 + v * a // 400) for a in (160, 140, 60)])
    draw = ImageDraw.Draw(image)
    for layer in range(3):
        y = size[1] * (0.45 + layer * 0.15)
        points = [(x, y + random.uniform(-1, 1) * size[1] * 0.06) for x in range(0, size[0] + 40, 40)]
        shade = 110 - layer * 30
        draw.polygon([(0, size[1]), *points, (size[0], size[1])], fill=(shade, shade + 15, shade))
    return image.filter(ImageFilter.GaussianBlur(1))


def ridge(seed: int, x: float) -> float:
    """How far down the image the slope at `x` begins, both as fractions."""
    return 0.5
