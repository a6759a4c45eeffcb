"""Frames drawn in code: sierras, sky and daylight as at the hour of the day, and smoke where a detection is.

Pillow alone draws them; a frame of 1920x1080 takes about as long as its own extraction will.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

from executions.simulator import plume, terrain
from executions.simulator.daylight import Light, elevation, light_at, mix, solar_hour
from executions.simulator.services import Box

QUALITY = 86


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG, and its mean brightness (0 to 255) as the camera states it."""

    content: bytes
    brightness: float


def render(
    seed: int, at: datetime, size: tuple[int, int] = (1920, 1080), boxes: Sequence[Box] = (), label: str = ""
) -> Image.Image:
    """The view of the camera `seed` at local time `at`: smoke and flames in `boxes`, `label` beside the time."""
    sun = elevation(at)
    light = light_at(sun)
    image = _sky(seed, at, size, light, sun)
    image.paste(_ground(seed, size, light), mask=terrain.sky_mask(seed, size))
    if sun < -4:
        _town_lights(image, seed)
    plume.draw(image, boxes, light, sun < -2, seed + int(at.timestamp()) // 60)
    image = _grainy(image, seed + at.second)
    _label(image, f"{at:%Y-%m-%d %H:%M:%S}  {label}".rstrip())
    return image


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """The image as a camera sends it."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def brightness(image: Image.Image) -> float:
    """The mean brightness, 0 to 255."""
    return round(ImageStat.Stat(image.reduce(16).convert("L")).mean[0], 1)


def _sky(seed: int, at: datetime, size: tuple[int, int], light: Light, sun: float) -> Image.Image:
    height = int(size[1] * 0.52)
    column = Image.new("RGB", (1, 64))
    for row in range(64):
        red, green, blue = mix(light.zenith, light.horizon, (row / 63) ** 1.25)
        column.putpixel((0, row), (int(red), int(green), int(blue)))
    image = Image.new("RGB", size, column.getpixel((0, 63)))
    image.paste(column.resize((size[0], height), Image.Resampling.BICUBIC))
    if sun < -6:
        _stars(image, seed, sun)
    _sun(image, seed, at, sun)
    _clouds(image, seed, at, light)
    return image


def _sun(image: Image.Image, seed: int, at: datetime, sun: float) -> None:
    """A glow around the sun, when it is near this camera's view; by day only a haze."""
    width, height = image.size
    facing = (seed % 4) * 0.25
    across = (solar_hour(at) / 24 - facing) % 1.0
    if not -5 < sun < 24 or not 0.2 < across < 0.8:
        return
    place = (int(width * (across - 0.2) / 0.6), int(height * (0.42 - sun * 0.012)))
    half = int(width * 0.30)
    around = (place[0] - half, place[1] - half, place[0] + half, place[1] + half)
    ball = Image.radial_gradient("L").resize((half * 2, half * 2))
    bands = [
        ball.point(
            [int(max(0, 1 - value / 180) ** 5 * channel * 0.8 + (90 if value < 6 else 0)) for value in range(256)]
        )
        for channel in (255, 214, 150)
    ]
    image.paste(ImageChops.add(image.crop(around), Image.merge("RGB", bands)), around)


def _clouds(image: Image.Image, seed: int, at: datetime, light: Light) -> None:
    width, height = image.size
    # The weather of the day, the same for all cameras; clouds drift during the day.
    cover = Random(at.toordinal() * 7 + at.hour // 6).uniform(0.12, 0.62)
    texture = terrain.noise(image.size).clouds
    drift = (seed // 7 + int((at.hour * 60 + at.minute) * width / 2400)) % texture.width
    moved = ImageChops.offset(texture, -drift, 0).crop((0, 0, width, int(height * 0.72)))
    least = int(255 * (0.68 - 0.42 * cover))
    mask = moved.point([min(225, max(0, int((value - least) * 2.7))) for value in range(256)])
    fade = Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize(mask.size)
    mask = ImageChops.multiply(mask, fade.point([min(255, 40 + int(value * 1.1)) for value in range(256)]))
    red, green, blue = light.cloud
    image.paste((int(red), int(green), int(blue)), (0, 0), mask)


def _stars(image: Image.Image, seed: int, sun: float) -> None:
    random, draw = Random(seed), ImageDraw.Draw(image)
    bright = min(1.0, (-6 - sun) / 8)
    for _ in range(260):
        x, y, value = (
            random.random() * image.width,
            random.random() ** 1.4 * image.height * 0.5,
            int(random.uniform(40, 210) * bright),
        )
        draw.point((x, y), fill=(value, value, min(255, value + 20)))


def _ground(seed: int, size: tuple[int, int], light: Light) -> Image.Image:
    coded = terrain.ground(seed, size)
    return Image.merge("RGB", [coded.point(table) for table in terrain.palette(seed, light)])


def _town_lights(image: Image.Image, seed: int) -> None:
    """Lamps of villages in the valley."""
    random, draw = Random(seed + 2), ImageDraw.Draw(image)
    for _ in range(random.randint(1, 3)):
        middle, y = random.uniform(0.1, 0.9), random.uniform(0.66, 0.74)
        for _ in range(random.randint(6, 22)):
            x, height = random.gauss(middle, 0.03) * image.width, random.gauss(y, 0.008) * image.height
            size, warm = random.uniform(0.4, 1.3) * image.width / 1920, random.randint(130, 225)
            draw.ellipse((x - size, height - size, x + size, height + size), fill=(255, warm, warm // 2))


def _grainy(image: Image.Image, seed: int) -> Image.Image:
    grain = terrain.noise(image.size).grain
    left = seed * 37 % (grain.width - image.width + 1)
    cut = grain.crop((left, 0, left + image.width, image.height))
    return ImageChops.add(image, cut, 1, -128)


def _label(image: Image.Image, text: str) -> None:
    size = max(9, image.height // 45)
    draw, place = ImageDraw.Draw(image), (size, size * 0.7)
    font = ImageFont.load_default(size)
    draw.text((place[0] + 1, place[1] + 1), text, fill=(20, 20, 20), font=font)
    draw.text(place, text, fill=(240, 240, 240), font=font)


class Studio:
    """Gives pictures: drawn anew each time or, for rates that drawing would limit, from a pool.

    With `pool`, at most so many views are drawn (for each size and set of boxes) and given again and again, each
    time with another comment in the JPEG, so that no two files are equal. `hour` draws all as at that local hour.
    """

    def __init__(self, pool: int = 0, hour: int | None = None) -> None:
        self._pool, self._hour = pool, hour
        self._drawn: dict[object, Picture] = {}
        self._numbers = count(1)

    def picture(
        self, seed: int, at: datetime, size: tuple[int, int], boxes: Sequence[Box] = (), label: str = ""
    ) -> Picture:
        """A picture of the camera `seed` at local time `at`."""
        if self._hour is not None:
            at = at.replace(hour=self._hour)
        if not self._pool:
            return _picture(render(seed, at, size, boxes, label))
        key = (seed % self._pool, size, tuple(boxes))
        if key not in self._drawn:
            self._drawn[key] = _picture(render(seed, at, size, boxes, label))
        picture = self._drawn[key]
        return Picture(_commented(picture.content, next(self._numbers)), picture.brightness)


def _picture(image: Image.Image) -> Picture:
    return Picture(jpeg(image), brightness(image))


def _commented(content: bytes, number: int) -> bytes:
    """The same JPEG with a comment segment right after its first marker."""
    text = str(number).encode()
    return content[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + content[2:]
