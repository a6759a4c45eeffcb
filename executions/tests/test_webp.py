"""The WebP container: sizes by the header, and cut-off files made whole."""

import io

import pytest
from PIL import Image

from executions.ingest import webp
from executions.tests.frames import encoded, landscape

SCENE = landscape(96, 64)
CLEAR = SCENE.convert("RGBA")
CLEAR.putalpha(Image.linear_gradient("L").resize(SCENE.size))
FILES = {
    "lossy": encoded(SCENE, "WEBP", quality=80),
    "lossless": encoded(SCENE, "WEBP", lossless=True),
    "with transparency": encoded(CLEAR, "WEBP", quality=80),
    "with metadata": encoded(SCENE, "WEBP", icc_profile=b"p" * 301, exif=b"Exif\0\0" + b"e" * 200),
}


def pixels_end(content: bytes) -> int:
    """Where the chunk of pixels ends."""
    start = max(content.find(kind) for kind in webp.PIXEL_CHUNKS)
    return start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")


def pixels_start(content: bytes) -> int:
    return max(content.find(kind) for kind in webp.PIXEL_CHUNKS) + 8


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"\xff\xd8\xff\xe0", b"WEBP"])
def test_other_files_are_not_taken_for_webp(content: bytes) -> None:
    assert not webp.is_webp(content)
    assert webp.pixel_size(content) == (0, 0)


@pytest.mark.parametrize("kind", FILES)
def test_the_header_tells_both_sizes(kind: str) -> None:
    assert webp.is_webp(FILES[kind])
    assert webp.stated_bytes(FILES[kind]) == len(FILES[kind])
    assert webp.pixel_size(FILES[kind]) == (96, 64)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_in_its_pixels_can_be_opened_again(kind: str) -> None:
    content = FILES[kind]
    # The first 300 bytes of a lossless file are tables without which nothing can be decoded.
    first = pixels_start(content) + (300 if kind == "lossless" else 11)
    for length in range(first, pixels_end(content), 3):
        whole = webp.completed(content[:length])
        assert webp.stated_bytes(whole) == len(whole)
        Image.open(io.BytesIO(whole)).load()


def test_a_file_cut_after_its_pixels_loses_no_pixel() -> None:
    content = FILES["with metadata"]
    for length in range(pixels_end(content) + 1, len(content), 20):
        whole = Image.open(io.BytesIO(webp.completed(content[:length])))
        assert whole.tobytes() == Image.open(io.BytesIO(content)).tobytes()


def test_a_length_that_lies_takes_no_memory() -> None:
    lying = FILES["lossy"][:16] + b"\xff\xff\xff\xff" + FILES["lossy"][20:]
    assert len(webp.completed(lying)) < len(lying) + 2 * webp.RESERVE_BYTES
