"""A plume of smoke and its flames, drawn into the box that the detector reports."""

from collections.abc import Sequence
from math import sin
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from executions.simulator.daylight import Light, mix
from executions.simulator.services import Box

Region = tuple[int, int, int, int]
# Where the foot of a plume is, as a fraction of the box's width.
FOOT = 0.4


def draw(image: Image.Image, boxes: Sequence[Box], light: Light, night: bool, seed: int) -> None:
    """Draw smoke, then flames, where `boxes` are; the picture is changed in place."""
    for number, box in enumerate(sorted(boxes, key=lambda each: each.class_name, reverse=True)):
        region = _region(box, image.size)
        if box.class_name == "smoke":
            _smoke(image, region, box.confidence, light, Random(seed + number))
        else:
            _fire(image, region, night, Random(seed + number))


def _region(box: Box, size: tuple[int, int]) -> Region:
    x, y, w, h = box.bbox
    left, top = int(x * size[0]), int(y * size[1])
    return left, top, max(left + 4, int((x + w) * size[0])), max(top + 4, int((y + h) * size[1]))


def _smoke(image: Image.Image, region: Region, confidence: float, light: Light, random: Random) -> None:
    size = (region[2] - region[0], region[3] - region[1])
    alpha, shade = _column(size, random)
    alpha = alpha.point([int(value * (0.62 + 0.36 * min(1.0, confidence))) for value in range(256)])
    tone = min(1.0, 0.05 + max(light.ground))
    lit = [channel * tone for channel in mix((222, 221, 221), light.cloud, 0.45)]
    shaded = mix((104, 105, 110), light.haze, 0.30)
    dark = [channel * tone for channel in shaded]
    bands = [_between(shade, low, high) for low, high in zip(dark, lit, strict=True)]
    image.paste(Image.merge("RGB", bands), region[:2], alpha)


def _column(size: tuple[int, int], random: Random) -> tuple[Image.Image, Image.Image]:
    """Opacity and brightness of rising puffs: thin and dense at the foot, wide above, leaning to the right."""
    scale = min(1.0, 420 / max(size))
    width, height = max(8, int(size[0] * scale)), max(8, int(size[1] * scale))
    alpha, shade = Image.new("L", (width, height)), Image.new("L", (width, height), 120)
    on_alpha, on_shade = ImageDraw.Draw(alpha), ImageDraw.Draw(shade)
    sway = random.uniform(0, 6)
    for step in range(150):
        rise = (step / 149) ** 1.15
        radius = width * (0.030 + 0.20 * rise**0.75) * random.uniform(0.55, 1.1)
        middle = width * (FOOT + 0.17 * rise + 0.03 * sin(sway + 7 * rise))
        x = min(max(random.gauss(middle, width * (0.012 + 0.11 * rise)), radius), width - radius)
        y = height - radius * 0.6 - rise * (height - 1.5 * radius)
        _disc(on_alpha, x, y, radius, int(255 - 105 * rise * random.random()))
        _disc(on_shade, x + radius * 0.1, y + radius * 0.15, radius, random.randint(50, 110))
        _disc(on_shade, x - radius * 0.22, y - radius * 0.28, radius * 0.72, random.randint(150, 245))
    alpha = alpha.filter(ImageFilter.GaussianBlur(width / 42))
    alpha = ImageChops.multiply(alpha, _wisps((width, height), random))
    alpha = ImageChops.multiply(alpha.filter(ImageFilter.GaussianBlur(width / 90)), _edges((width, height)))
    shade = shade.filter(ImageFilter.GaussianBlur(width / 55))
    return alpha.resize(size, Image.Resampling.BICUBIC), shade.resize(size, Image.Resampling.BICUBIC)


def _wisps(size: tuple[int, int], random: Random) -> Image.Image:
    """Where the plume is thin: nearly nowhere at its foot, more and more towards its top."""
    small = (max(4, size[0] // 10), max(4, size[1] // 10))
    noise = Image.frombytes("L", small, random.randbytes(small[0] * small[1])).resize(size, Image.Resampling.BICUBIC)
    thick = Image.linear_gradient("L").resize(size)
    return ImageChops.add(noise.point([118 + value // 2 for value in range(256)]), thick)


def _between(image: Image.Image, low: float, high: float) -> Image.Image:
    return image.point([int(low + (high - low) * value / 255) for value in range(256)])


def _edges(size: tuple[int, int]) -> Image.Image:
    """Opaque inside, clear at the border and at the upper corners, so that nothing ends straight at the box's edge."""
    mask, border = Image.new("L", size), max(1, min(size) // 12)
    draw_on = ImageDraw.Draw(mask)
    draw_on.rectangle((border, size[1] * 0.32, size[0] - border, size[1]), fill=255)
    draw_on.ellipse((border, border, size[0] - border, size[1] * 0.8), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(border * 0.7))


def _disc(draw_on: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: int) -> None:
    draw_on.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _fire(image: Image.Image, region: Region, night: bool, random: Random) -> None:
    width, height = region[2] - region[0], region[3] - region[1]
    _glow(image, region, 3.4 if night else 1.7, (255, 112, 28), 0.9 if night else 0.5)
    # Larger than the box, so that blurred flames are not cut off at its edges.
    rim = max(2, width // 3)
    flames = Image.new("L", (width + 2 * rim, height + 2 * rim))
    draw_on, ground = ImageDraw.Draw(flames), rim + height * 0.94
    for _ in range(30):
        x, tall = rim + width * random.uniform(0.04, 0.96), height * random.uniform(0.12, 1.0) ** 1.5
        half, heat = width * random.uniform(0.02, 0.055), random.randint(110, 210)
        draw_on.polygon(
            [(x - half, ground), (x + half * random.uniform(-2, 2), ground - tall), (x + half, ground)], fill=heat
        )
        draw_on.ellipse((x - half, ground - tall * 0.4, x + half, ground), fill=min(255, heat + 60))
    flames = flames.filter(ImageFilter.GaussianBlur(max(0.7, width / 45)))
    bands = [_between(flames, low, high) for low, high in ((225, 255), (60, 245), (5, 150))]
    place = (region[0] - rim, region[1] - rim)
    image.paste(Image.merge("RGB", bands), place, flames.point([min(255, value * 5 // 3) for value in range(256)]))


def _glow(image: Image.Image, region: Region, reach: float, colour: tuple[int, int, int], strength: float) -> None:
    """Add light around the middle of the region."""
    middle = ((region[0] + region[2]) // 2, (region[1] + region[3]) // 2)
    half = int(max(region[2] - region[0], region[3] - region[1]) * reach)
    around = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    ball = Image.radial_gradient("L").resize((half * 2, half * 2))
    bands = [
        ball.point([int((max(0, 180 - value) / 180) ** 2 * channel * strength) for value in range(256)])
        for channel in colour
    ]
    inside = image.crop(around)
    image.paste(ImageChops.add(inside, Image.merge("RGB", bands)), around)
