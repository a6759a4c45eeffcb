"""Images: what is refused and why, what is kept of cut-off frames, and that derived ones are right and bare."""

import io
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pytest_django import Settings

from executions.ingest import images
from executions.ingest.images import DerivedImage, ImageRefused
from executions.tests.frames import encoded, jpeg, landscape

# In a process of ours Pillow may grumble about odd metadata and go on; here every warning is an error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LIMITS = {"max_bytes": 10_000_000, "max_pixels": 4_000_000}
SAMPLES = {
    "jpeg": jpeg(96, 64),
    "progressive jpeg": encoded(landscape(96, 64), "JPEG", progressive=True),
    "png": encoded(landscape(96, 64), "PNG"),
    "webp": encoded(landscape(96, 64), "WEBP", quality=80),
    "lossless webp": encoded(landscape(96, 64), "WEBP", lossless=True),
}
RED, GREEN = (200, 30, 30), (30, 160, 30)


def derive(original: bytes, **limits: int) -> DerivedImage:
    return images.derive(original, **{**LIMITS, **limits})


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def colour(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The colour at a fraction of the width and height."""
    pixel = image.convert("RGB").getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(pixel, tuple)
    return pixel


def is_near(seen: tuple[int, ...], wanted: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(one - other) <= by for one, other in zip(seen, wanted, strict=True))


def two_halves(mode: str = "RGB", left: Any = RED, right: Any = GREEN) -> Image.Image:
    image = Image.new(mode, (64, 32), left)
    image.paste(right, (32, 0, 64, 32))
    return image


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    """A grey PNG with more chunks between its header and its pixels."""
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (size[1] * (size[0] + 1))) if size[0] < 10_000 else b""
    parts = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 100, "no JPEG, PNG or WebP"),
        (b"plain words", "no JPEG, PNG or WebP"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b'{"error": "camera offline"}', "JSON"),
        (encoded(two_halves(), "GIF"), "GIF"),
        (encoded(two_halves(), "BMP"), "BMP"),
        (encoded(two_halves(), "TIFF"), "TIFF"),
        (encoded(two_halves(), "AVIF"), "AVIF"),
        (SAMPLES["jpeg"][:20], "begins like a JPEG"),
        (SAMPLES["png"][:12], "begins like a PNG"),
        (SAMPLES["webp"][:20], "damaged"),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ImageRefused, match=reason):
        derive(content)


def test_too_many_bytes_are_refused_and_one_less_is_not() -> None:
    size = len(SAMPLES["jpeg"])
    with pytest.raises(ImageRefused, match=f"{size:,} bytes, and IMAGE_MAX_BYTES"):
        derive(SAMPLES["jpeg"], max_bytes=size - 1)
    assert derive(SAMPLES["jpeg"], max_bytes=size).facts.size_bytes == size


@pytest.mark.parametrize("kind", SAMPLES)
def test_too_many_pixels_are_refused_and_one_less_is_not(kind: str) -> None:
    with pytest.raises(ImageRefused, match="96 x 64 pixels, and IMAGE_MAX_PIXELS allows 6,143"):
        derive(SAMPLES[kind], max_pixels=96 * 64 - 1)
    assert derive(SAMPLES[kind], max_pixels=96 * 64).facts.width == 96


def test_a_header_that_states_a_giant_image_is_refused_before_memory_is_taken() -> None:
    start = SAMPLES["jpeg"].index(b"\xff\xc0") + 5
    giant_jpeg = SAMPLES["jpeg"][:start] + b"\xff\xff\xff\xff" + SAMPLES["jpeg"][start + 4 :]
    lossless = SAMPLES["lossless webp"]
    giant_webp = lossless[:21] + b"\xff\xff\xff\x0f" + lossless[25:]
    extended = b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6 + b"VP8L\0\0\0\0"
    for content in (giant_jpeg, giant_webp, extended, png_with(size=(1_000_000, 1_000_000))):
        with pytest.raises(ImageRefused, match="IMAGE_MAX_PIXELS"):
            derive(content)


def test_text_and_profile_that_swell_are_refused() -> None:
    swelling = zlib.compress(b"\0" * 50_000_000)
    for chunk in (
        png_chunk(b"zTXt", b"Comment\0\0" + swelling),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + swelling),
        png_chunk(b"iCCP", b"profile\0\0" + swelling),
    ):
        with pytest.raises(ImageRefused, match="too large"):
            derive(png_with(chunk))


def test_a_jpeg_with_thousands_of_scans_is_refused_at_once() -> None:
    progressive = SAMPLES["progressive jpeg"]
    last_scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageRefused, match="scans"):
        derive(progressive[:-2] + last_scan * 600 + b"\xff\xd9")


def test_a_webp_that_says_it_is_larger_than_allowed_is_refused() -> None:
    content = b"RIFF\xf0\xff\xff\xff" + SAMPLES["webp"][8:]
    with pytest.raises(ImageRefused, match="says it has 4,294,967,288 bytes"):
        derive(content)


def test_a_jpeg_without_a_height_is_refused() -> None:
    start = SAMPLES["jpeg"].index(b"\xff\xc0") + 5
    with pytest.raises(ImageRefused, match="damaged"):
        derive(SAMPLES["jpeg"][:start] + b"\0\0" + SAMPLES["jpeg"][start + 2 :])


@given(st.binary(max_size=2000))
@hypothesis_settings(deadline=None)
def test_any_bytes_give_an_image_or_a_reason(content: bytes) -> None:
    with pytest.raises(ImageRefused, match=r"\w+ \w+"):
        derive(content)


@st.composite
def damaged_images(draw: st.DrawFn) -> bytes:
    """A real image with bytes replaced, cut out or doubled."""
    content = bytearray(draw(st.sampled_from(sorted(SAMPLES.values()))))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.integers(0, 40))
        content[start:end] = draw(st.binary(max_size=40)) * draw(st.integers(1, 3))
    return bytes(content)


@given(damaged_images())
@hypothesis_settings(deadline=None, max_examples=300)
def test_any_damaged_image_gives_an_image_or_a_reason(content: bytes) -> None:
    try:
        derived = derive(content)
    except ImageRefused as refused:
        assert len(str(refused)) > 10
    else:
        assert derived.facts.sha256 == sha256(content).hexdigest()
        assert opened(derived.webp).width <= 1280


# --- Cut-off frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_frame_cut_anywhere_is_marked_or_refused(kind: str) -> None:
    original = SAMPLES[kind]
    marked = 0
    for length in [*range(1, len(original), 97), *range(len(original) - 20, len(original))]:
        try:
            marked += derive(original[:length]).facts.is_truncated
        except ImageRefused:
            assert length < 700  # There is no picture without its header.
    assert marked >= 20


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_whole_frame_is_not_marked(kind: str) -> None:
    assert not derive(SAMPLES[kind]).facts.is_truncated
    assert not derive(SAMPLES[kind] + b"\0\0\0").facts.is_truncated


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_what_arrived_of_a_cut_off_frame_is_shown(image_format: str) -> None:
    scene = landscape(640, 360)
    original = encoded(scene, image_format)
    derived = derive(original[: len(original) * 7 // 10])
    assert derived.facts.is_truncated
    assert (derived.facts.width, derived.facts.height) == (640, 360)
    upper = (0, 0, 640, 160)
    seen = opened(derived.webp).crop(upper).resize((4, 1), Image.Resampling.BOX)
    wanted = scene.crop(upper).resize((4, 1), Image.Resampling.BOX)
    for x in range(4):
        assert is_near(colour(seen, x / 4, 0), colour(wanted, x / 4, 0))


def test_pixels_broken_in_the_middle_are_kept_up_to_there_and_marked() -> None:
    original = bytearray(encoded(landscape(640, 360), "PNG"))
    middle = len(original) // 2
    original[middle : middle + 64] = bytes(64)
    derived = derive(bytes(original))
    assert derived.facts.is_truncated
    assert colour(opened(derived.webp), 0.5, 0.05)[2] > 120  # The sky.


def test_threads_with_good_and_cut_off_frames_do_not_confuse_each_other() -> None:
    good = [SAMPLES[kind] for kind in ("jpeg", "png", "webp")]
    frames = [frame for original in good for frame in (original, original[:-60])] * 20
    random.Random(1).shuffle(frames)
    with ThreadPoolExecutor(4) as pool:
        marks = list(pool.map(lambda frame: derive(frame).facts.is_truncated, frames))
    assert marks == [frame not in good for frame in frames]


# --- What is derived -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SAMPLES)
def test_facts_tell_what_the_original_is(kind: str) -> None:
    original = SAMPLES[kind]
    facts = derive(original).facts
    assert facts.format == kind.split()[-1]
    assert (facts.width, facts.height, facts.size_bytes) == (96, 64, len(original))
    assert facts.sha256 == sha256(original).hexdigest()


def test_small_images_are_never_enlarged() -> None:
    derived = derive(SAMPLES["jpeg"])
    assert opened(derived.webp).size == opened(derived.thumb).size == (96, 64)


@pytest.mark.parametrize(
    ("size", "preview", "thumb"),
    [
        ((1920, 1080), (1280, 720), (300, 168)),
        ((2880, 1616), (1280, 718), (300, 168)),
        ((1080, 1920), (720, 1280), (168, 300)),
        ((1281, 1281), (1280, 1280), (300, 300)),
        ((4000, 1), (1280, 1), (300, 1)),
    ],
)
def test_renditions_fit_their_squares(size: tuple[int, int], preview: tuple[int, int], thumb: tuple[int, int]) -> None:
    derived = derive(encoded(Image.new("RGB", size, RED), "JPEG"), max_pixels=5_000_000)
    assert (derived.facts.width, derived.facts.height) == size
    assert [opened(derived.webp).size, opened(derived.thumb).size] == [preview, thumb]
    assert is_near(colour(opened(derived.thumb), 0.5, 0.5), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_derived_images_are_upright(orientation: int, image_format: str) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION_TAG] = orientation
    upright = two_halves()  # Red on the left, as people shall see it.
    back = {1: None, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    turn = back.get(orientation, images.UPRIGHT.get(orientation))
    stored = upright if turn is None else upright.transpose(turn)
    derived = derive(encoded(stored, image_format, exif=exif.tobytes(), quality=95))
    assert (derived.facts.width, derived.facts.height) == (64, 32)
    for content in (derived.webp, derived.thumb):
        assert opened(content).size == (64, 32)
        assert is_near(colour(opened(content), 0.2, 0.5), RED)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_unreadable_exif_is_ignored(exif: bytes) -> None:
    assert derive(encoded(two_halves(), "JPEG", exif=exif)).facts.width == 64


def test_derived_images_carry_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for image_format in ("JPEG", "PNG", "WEBP"):
        xmp = {} if image_format == "PNG" else {"xmp": b"<x:xmpmeta/>"}
        derived = derive(encoded(two_halves(), image_format, exif=exif, icc_profile=profile, **xmp))
        for content in (derived.webp, derived.thumb):
            assert content[12:16] == b"VP8 "  # The simple form of WebP: one chunk, with pixels.
            assert int.from_bytes(content[16:20], "little") + 20 == len(content)


PALETTE = two_halves().quantize(4)
CLEAR_PALETTE = two_halves("RGBA", (0, 0, 0, 0), (*GREEN, 255)).quantize(4)


@pytest.mark.parametrize(
    ("image", "image_format", "left", "right"),
    [
        (two_halves("L", 40, 200), "JPEG", (40,) * 3, (200,) * 3),
        (two_halves("CMYK", (0, 255, 255, 0), (255, 0, 255, 0)), "JPEG", (255, 0, 0), (0, 255, 0)),
        (two_halves("1", 0, 1), "PNG", (0,) * 3, (255,) * 3),
        (PALETTE, "PNG", RED, GREEN),
        (CLEAR_PALETTE, "PNG", (255,) * 3, GREEN),
        (two_halves("I;16", 0x4E4E, 0xEAEA), "PNG", (78,) * 3, (234,) * 3),
        (two_halves("LA", (10, 0), (90, 255)), "PNG", (255,) * 3, (90,) * 3),
        (two_halves("RGBA", (*RED, 0), (*GREEN, 255)), "PNG", (255,) * 3, GREEN),
        (two_halves("RGBA", (*RED, 0), (*GREEN, 255)), "WEBP", (255,) * 3, GREEN),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_kind_of_pixel_keeps_its_colour(
    image: Image.Image, image_format: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    derived = derive(encoded(image, image_format, quality=95))
    for content in (derived.webp, derived.thumb):
        assert is_near(colour(opened(content), 0.2, 0.5), left, by=20)
        assert is_near(colour(opened(content), 0.8, 0.5), right, by=20)


def test_a_colour_that_stands_for_transparent_is_shown_white() -> None:
    derived = derive(encoded(two_halves(), "PNG", transparency=RED))
    assert is_near(colour(opened(derived.webp), 0.2, 0.5), (255, 255, 255))
    assert is_near(colour(opened(derived.webp), 0.8, 0.5), GREEN)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    second = Image.new("RGB", (64, 32), GREEN)
    for image_format in ("WEBP", "PNG"):
        original = encoded(Image.new("RGB", (64, 32), RED), image_format, save_all=True, append_images=[second])
        assert is_near(colour(opened(derive(original).webp), 0.5, 0.5), RED)


def test_a_picture_with_a_second_one_behind_it_is_a_jpeg() -> None:
    original = encoded(two_halves(), "MPO", save_all=True, append_images=[two_halves()])
    facts = derive(original).facts
    assert (facts.format, facts.width, facts.is_truncated) == ("jpeg", 64, False)


# --- The store -----------------------------------------------------------------------------------


def test_paths_hold_nothing_but_what_is_known() -> None:
    for rendition, execution_id, extension in (
        ("../etc", 7, "jpg"),
        ("original", 7, "jpg/../../x"),
        ("original", 7, "exe"),
        ("original", -1, "jpg"),
    ):
        with pytest.raises(ValueError, match="No image lies at"):
            images.path_for(rendition, execution_id, extension)


def test_a_thousand_executions_share_a_folder() -> None:
    assert images.path_for("original", 999, "jpg") == "original/0/999.jpg"
    assert images.path_for("thumb", 1_234_567, "webp") == "thumb/1234/1234567.webp"


@pytest.mark.parametrize(("kind", "extension"), [("jpeg", "jpg"), ("png", "png"), ("webp", "webp")])
def test_the_original_is_stored_byte_for_byte_and_named_by_its_content(
    kind: str, extension: str, image_root: Path
) -> None:
    derived = derive(SAMPLES[kind])
    for _ in range(2):  # Storing again changes nothing.
        stored = images.store(4007, SAMPLES[kind], derived)
    assert stored.original_path == f"original/4/4007.{extension}"
    assert stored.facts == derived.facts
    found = {str(path.relative_to(image_root)): path.read_bytes() for path in image_root.rglob("*.*")}
    assert found == {
        stored.original_path: SAMPLES[kind],
        "webp/4/4007.webp": derived.webp,
        "thumb/4/4007.webp": derived.thumb,
    }
    assert images.read(stored.original_path) == SAMPLES[kind]


def test_a_missing_file_is_told_apart_from_a_broken_store(image_root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        images.read("original/0/1.jpg")
    image_root.write_bytes(b"A file stands where the folder should be.")
    with pytest.raises(OSError, match="Not a directory"):
        images.write("original/0/1.jpg", b"x")


def test_a_store_that_does_not_overwrite_is_refused(settings: Settings) -> None:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "images": memory}
    images.write("original/0/1.jpg", b"first")
    with pytest.raises(ImproperlyConfigured, match="file_overwrite"):
        images.write("original/0/1.jpg", b"second")
    assert storages["images"].listdir("original/0")[1] == ["1.jpg"]
    assert images.read("original/0/1.jpg") == b"first"
