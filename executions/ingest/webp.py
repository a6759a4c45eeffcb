"""The container around a WebP image, as far as the decoder leaves it to us: it opens only complete files.

A file is `RIFF`, its length, `WEBP`, then chunks: four letters, a length, the content, padded to an even length.
"""

HEADER_BYTES = 12
PIXEL_CHUNKS = (b"VP8 ", b"VP8L")
# The decoder reads a little further over zeros than over what was cut off; 64 bytes did in all trials.
RESERVE_BYTES = 1024


def is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def stated_bytes(data: bytes) -> int:
    """How long the file is by its own header (its first 12 bytes suffice)."""
    return int.from_bytes(data[4:8], "little") + 8


def pixel_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk; (0, 0) if it is none that we know."""
    chunk, header = data[12:16], data[20:30]
    if chunk == b"VP8X":
        return int.from_bytes(header[4:7], "little") + 1, int.from_bytes(header[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(header[6:8], "little") & 0x3FFF, int.from_bytes(header[8:10], "little") & 0x3FFF
    return 0, 0


def completed(data: bytes) -> bytes:
    """A file whose end is missing, made complete: cut-off pixels filled up with zeros, another cut-off chunk dropped.

    The decoder makes a smear of the zeros, below the last good rows.
    """
    position = HEADER_BYTES
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if position + 8 + length > len(data):
            break
        position += 8 + length + length % 2
    kept, cut_off = data[HEADER_BYTES:position], b""
    if data[position : position + 4] in PIXEL_CHUNKS:
        length = min(length, stated_bytes(data)) + RESERVE_BYTES
        length += length % 2
        content = data[position + 8 :].ljust(length, b"\0")
        cut_off = data[position : position + 4] + length.to_bytes(4, "little") + content
    body = b"WEBP" + kept + cut_off
    return b"RIFF" + len(body).to_bytes(4, "little") + body
