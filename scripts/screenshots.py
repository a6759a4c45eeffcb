"""Takes the pictures of the documents from a running demo, in the Chromium of this machine.

    make demo
    .venv/bin/python -m scripts.screenshots http://127.0.0.1:8000/ viewer PASSWORD

Waits until cards show smoke with its boxes, so it may take some minutes on a fresh demo.
"""

import argparse
import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH, HEIGHT = 1280, 745
# Of the cards in the picture; the first page of a fresh demo may show none.
SMOKE_CARDS = 2
PATIENCE_MS = 600_000
# A palette takes a third of the bytes; landscapes drawn in code lose nothing that the eye would miss.
COLOURS = 256


def main() -> int:
    """The exit code."""
    options = _options()
    chromium = options.chromium or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("There is no Chromium here: install the package chromium, or name one with --chromium.", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to work for root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=chromium, args=arguments) as browser:
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce", locale="en"
            )
            sign_in(page, options.url, options.user, options.password)
            wait_for_smoke(page)
            save(page.screenshot(), IMAGES / "live.png")
    return 0


def sign_in(page: Page, url: str, user: str, password: str) -> None:
    page.goto(url)
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".card").first).to_be_visible()


def wait_for_smoke(page: Page) -> None:
    """Until the part of the page in the picture shows smoke in boxes, and all its images are loaded."""
    page.wait_for_function(
        """([count, height]) => {
            const isSeen = (card) => card.getBoundingClientRect().bottom < height;
            const seen = [...document.querySelectorAll(".card")].filter(isSeen);
            const smoke = seen.filter((card) => card.querySelector(".box"));
            const images = seen.map((card) => card.querySelector("img"));
            return smoke.length >= count && images.every((image) => image && image.complete && image.naturalWidth);
        }""",
        arg=[SMOKE_CARDS, HEIGHT],
        timeout=PATIENCE_MS,
    )


def save(screenshot: bytes, path: Path) -> None:
    """As a PNG with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the running demo")
    parser.add_argument("user", help="one of its log-ins")
    parser.add_argument("password", help="the password that the demo printed")
    parser.add_argument("--chromium", help="the browser's program; default: found by itself")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
