"""Frames for tests: landscapes that weigh and compress about like a photograph, and deterministic for a seed."""

import io
from random import Random

from PIL import Image, ImageDraw


def landscape(width: int, height: int, seed: int = 0) -> Image.Image:
    """An RGB image of sky, three ranges of hills and grain."""
    random = Random(seed)
    small = _sky(random)
    draw = ImageDraw.Draw(small)
    for distance in range(3):
        top = 50 + 18 * distance + random.randrange(8)
        ridge = [(x, top + random.randrange(-6, 7)) for x in range(0, 161, 8)]
        draw.polygon([(0, 90), *ridge, (160, 90)], fill=(90 - 25 * distance, 110 - 20 * distance, 95 - 30 * distance))
    scene = small.resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(scene, _grain(random, width, height), 0.2)


def jpeg(width: int, height: int, quality: int = 85, seed: int = 0) -> bytes:
    """The landscape as a camera sends it."""
    return encoded(landscape(width, height, seed), "JPEG", quality=quality)


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    """The image as a file in memory."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _sky(random: Random) -> Image.Image:
    """160x90 pixels, from blue at the top to pale at the horizon."""
    gradient = Image.linear_gradient("L").resize((160, 90))
    blue = (60 + random.randrange(40), 120 + random.randrange(30), 200)
    return Image.composite(Image.new("RGB", (160, 90), (225, 228, 230)), Image.new("RGB", (160, 90), blue), gradient)


def _grain(random: Random, width: int, height: int) -> Image.Image:
    """Noise of two sizes: leaves and sensor."""
    coarse_size = (width // 4 + 1, height // 4 + 1)
    coarse = Image.frombytes("L", coarse_size, random.randbytes(coarse_size[0] * coarse_size[1]))
    fine = Image.frombytes("L", (width, height), random.randbytes(width * height))
    return Image.blend(coarse.resize((width, height), Image.Resampling.BILINEAR), fine, 0.35).convert("RGB")
