"""The references for frames: what the bare library calls cost, and what the dashboard in use today does to a frame.

    python -m executions.bench.bare {bare,sharp} PAYLOADS OUT --frames N --threads T

PAYLOADS is a folder of texts as n8n stores them. Prints a JSON object {"frames", "cpu_s", "wall_s"}.
No Django, no database: only json, base64, Pillow and plain writes.
"""

import argparse
import io
import json
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

# Quality, method and filter are the product's, or the comparison would be of those; a test compares the files.
FILTER = Image.Resampling.HAMMING
# All frames here are 16 to 9.
PREVIEW, THUMB = (1280, 720), (300, 168)
Job = Callable[[str, Path, int], None]


def bare(payload: str, out: Path, number: int) -> None:
    """What has to be done: the original as it came and its hash, a preview, a thumbnail; files as the product's."""
    original = original_of(payload)
    sha256(original).hexdigest()
    (out / f"{number}.jpg").write_bytes(original)
    image = Image.open(io.BytesIO(original))
    image.draft(None, PREVIEW)  # A frame of 3840x2160 is decoded at half its size.
    preview = image.resize(PREVIEW, FILTER, reducing_gap=2.0)
    preview.save(out / f"{number}.webp", "WEBP", quality=80, method=1)
    preview.resize(THUMB, FILTER, reducing_gap=2.0).save(out / f"{number}-thumb.webp", "WEBP", quality=80, method=1)


def sharp(payload: str, out: Path, number: int) -> None:
    """Three renditions, each decoded for itself: JPEG 95, WebP 85 in full size (method 4), a thumbnail.

    A stand-in made with Pillow for a job that really runs on the sharp library; both spend their time in libwebp.
    """
    original = original_of(payload)
    Image.open(io.BytesIO(original)).save(out / f"{number}.jpg", "JPEG", quality=95)
    Image.open(io.BytesIO(original)).save(out / f"{number}.webp", "WEBP", quality=85, method=4)
    image = Image.open(io.BytesIO(original))
    image.thumbnail((300, 300), FILTER)
    image.save(out / f"{number}-thumb.webp", "WEBP", quality=80, method=4)


JOBS: dict[str, Job] = {"bare": bare, "sharp": sharp}


def original_of(payload: str) -> bytes:
    """The image in the text: its longest string. Finding it properly is part of the product, not of the reference."""
    return b64decode(max((each for each in json.loads(payload) if isinstance(each, str)), key=len))


def run(job: Job, payloads: Path, out: Path, frames: int, threads: int) -> dict[str, float]:
    """Do so many frames in so many threads; each is read, done and forgotten."""
    out.mkdir(parents=True, exist_ok=True)
    found = sorted(payloads.iterdir())
    assert found, f"{payloads} is empty"
    files = islice(cycle(found), frames)
    wall, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        for number, file in enumerate(files):
            job(file.read_text(), out, number)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda each: job(each[1].read_text(), out, each[0]), enumerate(files)))
    return {"frames": frames, "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("payloads", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    print(json.dumps(run(JOBS[options.job], options.payloads, options.out, options.frames, options.threads)))


if __name__ == "__main__":
    main()
