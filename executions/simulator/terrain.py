"""The ground of a camera's view: four chains of sierra, one behind the other, always the same for the same seed.

The ground is kept as one grey image whose value says both which chain a pixel belongs to and how it is
lit there (64 steps each). Its colours at any hour are then three table look-ups, however many chains there are.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random

from PIL import Image, ImageChops, ImageDraw

from executions.simulator.daylight import Colour, Light, mix

STEPS = 64
# From far to near: where the ridge runs (fraction of the height), how far it swings, how much haze lies before it.
HEIGHTS, SWINGS, HAZES = (0.40, 0.46, 0.56, 0.80), (0.06, 0.10, 0.11, 0.10), (0.80, 0.60, 0.32, 0.06)
# The chain on whose slopes plumes rise.
SMOKING = 2
FOLDS = (0, 2, 4, 4)
# Colours of shade and sun on the ground, from far to near; grass and wood differ from camera to camera.
WOODS = (
    ((70, 84, 96), (128, 136, 136)),
    ((52, 66, 58), (122, 124, 98)),
    ((30, 42, 26), (112, 112, 70)),
    ((18, 26, 14), (98, 100, 52)),
)
GRASSES = (
    ((78, 86, 94), (140, 138, 128)),
    ((66, 66, 52), (146, 132, 96)),
    ((46, 46, 28), (150, 130, 80)),
    ((32, 30, 16), (148, 128, 70)),
)


class Noise:
    """Textures of one frame size, shared by all cameras."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size[0] * 5 // 4, size[1]
        self.relief = relief((width, height))
        self.clouds = cloudy((width, height))
        self.grain = grain((width, height))
        self.steps = [self._of_chain(chain) for chain in range(4)]

    def _of_chain(self, chain: int) -> Image.Image:
        """The relief in the values of one chain; the farther it is, the smaller is what grows there."""
        table = [chain * STEPS + value * (STEPS - 1) // 255 for value in range(256)]
        width, height = self.relief.size
        part = (width * (chain + 1) // 4, height * (chain + 1) // 4)
        small = self.relief.resize(part, Image.Resampling.BILINEAR).point(table)
        whole = Image.new("L", (width, height))
        for top in range(0, height, part[1]):
            for left in range(0, width, part[0]):
                whole.paste(small, (left, top))
        return whole


@lru_cache(maxsize=4)
def noise(size: tuple[int, int]) -> Noise:
    """The textures for frames of `size`."""
    return Noise(size)


def ridge(seed: int, x: float) -> float:
    """How far down the image the smoking chain's ridge runs at `x`, both as fractions."""
    line = _lines(seed)[SMOKING]
    place = min(max(x, 0.0), 1.0) * (len(line) - 1)
    left = min(int(place), len(line) - 2)
    return line[left] + (line[left + 1] - line[left]) * (place - left)


@lru_cache(maxsize=32)
def ground(seed: int, size: tuple[int, int]) -> Image.Image:
    """The ground as a grey image (mode L, see above), and 0 where the sky is; `mask` tells the sky apart."""
    random, textures = Random(seed), noise(size)
    image = Image.new("L", size)
    for chain, line in enumerate(_lines(seed)):
        for fold in range(FOLDS[chain] + 1):
            image.paste(
                _texture(textures, chain, fold, random, size), mask=_mask(size, _fold(line, fold, chain, random))
            )
    return image


def sky_mask(seed: int, size: tuple[int, int]) -> Image.Image:
    """255 where the ground is, 0 where the sky is, soft in between."""
    return _half_mask(seed, size).resize(size, Image.Resampling.BILINEAR)


@lru_cache(maxsize=32)
def _half_mask(seed: int, size: tuple[int, int]) -> Image.Image:
    """The mask at half the size, a quarter of the memory for each camera."""
    whole = Image.new("L", size)
    for line in _lines(seed):
        whole.paste(255, mask=_mask(size, line))
    return whole.reduce(2)


def palette(seed: int, light: Light) -> list[list[int]]:
    """Three tables (red, green, blue) of 256 values: the colours of `ground` in this light."""
    share = Random(seed + 1).random()
    tables: list[list[int]] = [[], [], []]
    for chain, haze in enumerate(HAZES):
        dark, bright = (mix(_colour(WOODS, chain, side), _colour(GRASSES, chain, side), share) for side in (0, 1))
        for step in range(STEPS):
            colour = mix(dark, bright, step / (STEPS - 1))
            lit: Colour = (colour[0] * light.ground[0], colour[1] * light.ground[1], colour[2] * light.ground[2])
            for table, value in zip(tables, mix(lit, light.haze, haze), strict=True):
                table.append(min(255, int(value)))
    return tables


def relief(size: tuple[int, int]) -> Image.Image:
    """Slopes in sun and shade, with trees and bushes on them."""
    slopes = Image.blend(_slopes(size, 150, 1), _slopes(size, 52, 2), 0.45)
    woods = _contrast(Image.blend(_octave(size, 34, 3), _octave(size, 12, 4), 0.5), 1.6)
    leaves = Image.blend(_octave(size, 5, 5), _octave(size, 2, 6), 0.55)
    return _contrast(Image.blend(Image.blend(slopes, woods, 0.26), leaves, 0.36), 1.75)


def _slopes(size: tuple[int, int], cell: int, seed: int) -> Image.Image:
    """Hills of about `cell` pixels, lit from the upper left."""
    hills = _octave(size, cell, seed)
    step = max(1, cell * size[0] // 14400)
    lit = ImageChops.subtract(hills, ImageChops.offset(hills, -step * 2, -step), 1, 128)
    return _contrast(lit, 4.2)


def _contrast(image: Image.Image, factor: float) -> Image.Image:
    return image.point([min(255, max(0, int((value - 128) * factor + 126))) for value in range(256)])


def cloudy(size: tuple[int, int]) -> Image.Image:
    """How much cloud there is, 0 to 255: streaks that grow thinner towards the horizon."""
    streaks = Image.blend(_octave(size, 300, 5, 2.6), _octave(size, 110, 6, 2.6), 0.42)
    streaks = Image.blend(streaks, _octave(size, 36, 7, 2.2), 0.30)
    return Image.blend(streaks, _octave(size, 12, 8, 2.0), 0.16)


def grain(size: tuple[int, int]) -> Image.Image:
    """The noise of a camera's sensor, around 128, as RGB."""
    random, table = Random(9), [112 + value // 8 for value in range(256)]
    count = size[0] * size[1]
    return Image.merge("RGB", [Image.frombytes("L", size, random.randbytes(count)).point(table) for _ in range(3)])


def _octave(size: tuple[int, int], cell: int, seed: int, stretch: float = 1.0) -> Image.Image:
    """Smooth noise with features of about `cell` pixels in a frame 1920 wide, wider than high by `stretch`."""
    scale = max(1.0, cell * size[0] / 2400)
    width, height = max(4, int(size[0] / scale / stretch)), max(4, int(size[1] / scale))
    small = Image.frombytes("L", (width, height), Random(seed).randbytes(width * height))
    # A rim taken from the other side lets the texture repeat without a seam.
    around = Image.new("L", (width + 4, height + 4))
    for left in (2 - width, 2, 2 + width):
        for top in (2 - height, 2, 2 + height):
            around.paste(small, (left, top))
    return around.resize(size, Image.Resampling.BICUBIC, box=(2, 2, width + 2, height + 2))


def _texture(textures: Noise, chain: int, fold: int, random: Random, size: tuple[int, int]) -> Image.Image:
    left = random.randrange(textures.relief.width - size[0] + 1)
    cut = textures.steps[chain].crop((left, 0, left + size[0], size[1]))
    if random.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    change = random.choice((-9, -5, 0, 4, 7)) if fold else 0
    low, high = chain * STEPS, chain * STEPS + STEPS - 1
    return cut.point([min(high, max(low, value + change)) for value in range(256)]) if change else cut


def _mask(size: tuple[int, int], line: Sequence[float]) -> Image.Image:
    mask = Image.new("L", size)
    width, height = size
    step = width / (len(line) - 1)
    points = [(index * step, y * height) for index, y in enumerate(line)]
    ImageDraw.Draw(mask).polygon([(0, height), *points, (width, height)], fill=255)
    return mask


def _fold(line: Sequence[float], fold: int, chain: int, random: Random) -> list[float]:
    """A line lower on the slope: the ridge of one of its spurs."""
    if not fold:
        return list(line)
    drop = fold * (0.035 + 0.012 * chain)
    spur = list(_fractal(random, 8, 0.05 + 0.012 * chain))
    return [y + drop + spur[index * (len(spur) - 1) // (len(line) - 1)] for index, y in enumerate(line)]


@lru_cache(maxsize=64)
def _lines(seed: int) -> tuple[tuple[float, ...], ...]:
    """The ridge of each chain, as heights (fractions) at equal distances from left to right."""
    random = Random(seed)
    # How far up the camera looks, and how mountainous the place is.
    tilt, bold = random.uniform(-0.07, 0.07), random.uniform(0.7, 1.5)
    return tuple(tuple(_line(random, chain, tilt, bold)) for chain in range(4))


def _line(random: Random, chain: int, tilt: float, bold: float) -> Iterator[float]:
    base = HEIGHTS[chain] + tilt + random.uniform(-0.03, 0.03)
    rough = 0.0006 + 0.0011 * chain
    for height in _fractal(random, 9, SWINGS[chain] * bold):
        yield base + height + random.uniform(-rough, rough)


def _fractal(random: Random, depth: int, swing: float) -> list[float]:
    """Heights along a ridge: 2**depth + 1 of them, each between half as rough as the one before."""
    heights = [random.uniform(-swing, swing) for _ in range(3)]
    for level in range(1, depth):
        rough = swing * 0.52**level
        middles = [(a + b) / 2 + random.uniform(-rough, rough) for a, b in zip(heights, heights[1:], strict=False)]
        heights = [height for pair in zip(heights, middles, strict=False) for height in pair] + heights[-1:]
    return heights


def _colour(colours: Sequence[tuple[tuple[int, int, int], tuple[int, int, int]]], chain: int, side: int) -> Colour:
    red, green, blue = colours[chain][side]
    return float(red), float(green), float(blue)
