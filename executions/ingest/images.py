"""Images: what a frame is, its two smaller renditions, and where the three files lie. The only home of Pillow.

The original is evidence and is kept byte for byte; `webp` (fits 1280x1280) and `thumb` (fits 300x300) are made for
looking at. They are upright (EXIF orientation applied), sRGB in name only (a colour profile is dropped, not converted:
a wide-gamut camera looks a little pale) and carry no metadata. A transparent image is laid on white.

One decode serves both. Pillow gives the GIL back while it decodes, scales and encodes, so threads run side by side.
"""

import io
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from PIL import Image, UnidentifiedImageError

from executions.ingest import webp

PREVIEW_SIDE, THUMB_SIDE = 1280, 300
# Method 1 and this filter: docs/decisions/0006-cheaper-previews.md has what they save and cost.
QUALITY, METHOD = 80, 1
FILTER = Image.Resampling.HAMMING
# A small progressive JPEG can hold thousands of scans, each a walk over all pixels: 100 of them over 36 megapixels
# take 5 s, 500 half a minute, which is how long a worker may hold an execution. Real ones hold about 10.
MAX_SCANS = 100
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
END_OF_JPEG = b"\xff\xd9"
END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"

ImageFormat = Literal["jpeg", "png", "webp"]
Rendition = Literal["original", "webp", "thumb"]
RENDITIONS: tuple[Rendition, ...] = ("original", "webp", "thumb")
FORMATS: dict[str, ImageFormat] = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp"}
EXTENSIONS: dict[ImageFormat, str] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
KNOWN_STARTS = {
    b"\xff\xd8": "It begins like a JPEG image, but its header is damaged.",
    b"\x89PNG": "It begins like a PNG image, but its header is damaged.",
    b"RIFF": "It begins like a WebP image, but its header is damaged.",
    b"GIF8": "It is a GIF image.",
    b"BM": "It looks like a BMP image.",
    b"II*\0": "It is a TIFF image.",
    b"MM\0*": "It is a TIFF image.",
    b"\0\0\0": "It looks like a video, or an HEIC or AVIF image.",
    b"<": "It is text (SVG, XML or HTML).",
    b"{": "It is text (JSON).",
}

# Ours is the one limit on pixels, in `_check_pixels`; Pillow's is another number and only half an error.
Image.MAX_IMAGE_PIXELS = None


class ImageRefused(Exception):
    """This file is not accepted as an image. The message tells people why; trying again does not help."""


@dataclass(frozen=True)
class ImageFacts:
    """What the original is. Width and height in pixels as people see it, upright: boxes are fractions of that."""

    format: ImageFormat
    width: int
    height: int
    size_bytes: int
    sha256: str
    is_truncated: bool


@dataclass(frozen=True)
class DerivedImage:
    """The facts, and the two smaller renditions as WebP files."""

    facts: ImageFacts
    webp: bytes
    thumb: bytes


@dataclass(frozen=True)
class StoredImage:
    """Three files that are in the store, by their paths in it."""

    original_path: str
    webp_path: str
    thumb_path: str
    facts: ImageFacts


@dataclass(frozen=True)
class _Decoded:
    """Pixels, perhaps fewer than the file has (see `draft`), not yet upright. `size` is that of the file."""

    image: Image.Image
    format: ImageFormat
    size: tuple[int, int]
    is_truncated: bool


def derive(original: bytes, *, max_bytes: int, max_pixels: int) -> DerivedImage:
    """Look at an image and make its smaller renditions. A cut-off one is taken as far as it goes, and marked.

    Raises ImageRefused for what is too large, damaged beyond reading or no JPEG, PNG or WebP; the content decides.
    """
    if not original:
        raise ImageRefused("The image is empty (0 bytes).")
    if len(original) > max_bytes:
        raise ImageRefused(f"The image has {len(original):,} bytes, and IMAGE_MAX_BYTES allows {max_bytes:,}.")
    try:
        return _derive(original, max_bytes, max_pixels)
    except (ImageRefused, MemoryError):  # Want of memory is no fault of the image: another attempt may succeed.
        raise
    except UnidentifiedImageError as error:
        raise ImageRefused(f"The file is no JPEG, PNG or WebP image. {_what_it_is(original)}") from error
    except Exception as error:
        # Pillow's readers raise a dozen types on damaged files (struct.error, SyntaxError, IndexError, ...).
        raise ImageRefused(f"The image is damaged and cannot be read ({error or type(error).__name__}).") from error


def store(execution_id: int, original: bytes, derived: DerivedImage) -> StoredImage:
    """Write the three files. Storing again replaces them.

    The original is first: a crash in between loses nothing that cannot be made again. Raises OSError.
    """
    facts = derived.facts
    stored = StoredImage(
        original_path=path_for("original", execution_id, EXTENSIONS[facts.format]),
        webp_path=path_for("webp", execution_id, "webp"),
        thumb_path=path_for("thumb", execution_id, "webp"),
        facts=facts,
    )
    write(stored.original_path, original)
    write(stored.webp_path, derived.webp)
    write(stored.thumb_path, derived.thumb)
    return stored


def path_for(rendition: str, execution_id: int, extension: str) -> str:
    """`<rendition>/<execution_id // 1000>/<execution_id>.<ext>`. Nothing that a camera sent gets into a path."""
    if rendition not in RENDITIONS or extension not in EXTENSIONS.values() or execution_id < 0:
        raise ValueError(f"No image lies at {rendition!r}, {execution_id!r}, {extension!r}.")
    return f"{rendition}/{execution_id // 1000}/{execution_id:d}.{extension}"


def read(path: str) -> bytes:
    """The bytes of a stored file. Raises FileNotFoundError, or another OSError when the store cannot be read."""
    try:
        with storages["images"].open(path, "rb") as file:
            content: bytes = file.read()
            return content
    except (OSError, SuspiciousOperation):
        raise
    except Exception as error:  # Each kind of remote store has exceptions of its own.
        raise OSError(f"The image store cannot be read: {error}") from error


def write(path: str, content: bytes) -> None:
    """Put a file into the store under exactly this path. Raises OSError when the store cannot be written."""
    storage = storages["images"]
    try:
        name = storage.save(path, ContentFile(content))
    except (OSError, SuspiciousOperation):
        raise
    except Exception as error:
        raise OSError(f"The image store cannot be written: {error}") from error
    if name != path:
        storage.delete(name)
        raise ImproperlyConfigured(
            f"The image store saved {path} as {name}. Set its option to overwrite files (S3: file_overwrite)."
        )


def _derive(original: bytes, max_bytes: int, max_pixels: int) -> DerivedImage:
    decoded = _decode(original, max_bytes, max_pixels)
    orientation = _orientation(decoded.image)
    width, height = reversed(decoded.size) if orientation >= 5 else decoded.size
    facts = ImageFacts(
        format=decoded.format,
        width=width,
        height=height,
        size_bytes=len(original),
        sha256=sha256(original).hexdigest(),
        is_truncated=decoded.is_truncated,
    )
    preview = _shrink(_averageable(decoded.image), _fit(decoded.size, PREVIEW_SIDE))
    del decoded  # The large pixels go before the encoder asks for memory.
    preview = _on_white(preview)
    if orientation in UPRIGHT:
        preview = preview.transpose(UPRIGHT[orientation])
    thumb = _shrink(preview, _fit(preview.size, THUMB_SIDE))
    return DerivedImage(facts, webp=_encode(preview), thumb=_encode(thumb))


def _decode(original: bytes, max_bytes: int, max_pixels: int) -> _Decoded:
    """Decode strictly; what fails is a cut-off image, of which the part that is there is taken.

    Pillow's own way to tolerate that, ImageFile.LOAD_TRUNCATED_IMAGES, is one switch for all threads: another thread's
    cut-off image would slip through unmarked. Each format has a way of its own that needs no switch.
    """
    data, is_truncated = _whole_webp(original, max_bytes, max_pixels)
    image, size = _open(data, max_pixels)
    image_format = FORMATS[image.format or ""]
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        is_truncated = True
        image = _salvage(image, data, max_pixels)
    is_truncated = is_truncated or (image_format == "png" and END_OF_PNG not in data)
    return _Decoded(image, image_format, size, is_truncated)


def _open(data: bytes, max_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """Read the header only, and have a large JPEG decoded at a half, quarter or eighth if that is enough."""
    image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
    size = image.size
    if 0 in size:
        raise ImageRefused("The image is damaged: its header states no size.")
    _check_pixels(size, max_pixels)
    if image.info.get("progressive") and data.count(b"\xff\xda") > MAX_SCANS:
        raise ImageRefused(f"The JPEG image has more than {MAX_SCANS} scans; reading it would take too long.")
    image.draft(None, _fit(size, PREVIEW_SIDE))
    return image, size


def _salvage(image: Image.Image, data: bytes, max_pixels: int) -> Image.Image:
    """The pixels of an image whose end is missing or unreadable. Raises what Pillow raises if there are none."""
    if image.format in ("JPEG", "MPO"):
        try:
            # The decoder fills up with grey when the end comes early; a progressive image is just less sharp.
            ended, _ = _open(data + END_OF_JPEG, max_pixels)
            ended.load()
        except MemoryError:
            raise
        except Exception:
            pass  # Broken in the middle: the rows above that are in the first image.
        else:
            return ended
    image.tile = []  # type: ignore[attr-defined]  # Nothing left to decode: keep the rows that were.
    image.load()
    return image


def _whole_webp(data: bytes, max_bytes: int, max_pixels: int) -> tuple[bytes, bool]:
    """A WebP file made complete, and whether it had to be; anything else as it is."""
    if not webp.is_webp(data):
        return data, False
    # Here and not in `_open`, because opening already takes memory for all pixels.
    _check_pixels(webp.pixel_size(data), max_pixels)
    length = webp.stated_bytes(data)
    if length > max_bytes:
        raise ImageRefused(f"The WebP image says it has {length:,} bytes; IMAGE_MAX_BYTES allows {max_bytes:,}.")
    return (webp.completed(data), True) if len(data) < length else (data, False)


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise ImageRefused(
            f"The image has {size[0]:,} x {size[1]:,} pixels, and IMAGE_MAX_PIXELS allows {max_pixels:,} in all."
        )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none that can be read."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(ORIENTATION_TAG)
    except Exception:  # A camera that writes odd EXIF still sends a good picture.
        return 1
    return value if isinstance(value, int) and value in UPRIGHT else 1


def _averageable(image: Image.Image) -> Image.Image:
    """The image in a mode in which the mean of two numbers is a colour between them: scaling needs that."""
    if image.mode.startswith("I"):
        return image.point(lambda value: value / 256).convert("L")
    if image.has_transparency_data and image.mode not in ("RGBA", "LA"):
        return image.convert("RGBA")
    if image.mode in ("1", "P"):
        return image.convert("RGB")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """The image as RGB without transparency; itself if it is so already."""
    if image.mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, mask=image.getchannel("A"))
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The largest size of this shape within a square, never larger than it is."""
    longest = max(*size, side)
    return max(1, size[0] * side // longest), max(1, size[1] * side // longest)


def _shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, FILTER, reducing_gap=2.0)


def _encode(image: Image.Image) -> bytes:
    image.info = {}  # Otherwise Pillow copies colour profile and XMP, and with them where the camera stands.
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=METHOD)
    return buffer.getvalue()


def _what_it_is(data: bytes) -> str:
    """A guess that helps whoever has to set the camera right."""
    beginning = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    meanings = (meaning for start, meaning in KNOWN_STARTS.items() if beginning.startswith(start))
    return next(meanings, "Its content is of no kind that is known here.")
