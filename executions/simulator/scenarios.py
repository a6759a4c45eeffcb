"""What can happen to one camera frame in n8n, as data. Letters and numbers name the recorded execution each follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from random import Random
from typing import Literal

from executions.simulator.services import FENCED_JSON, NOTHING_PROSE, SMOKE_PROSE, TRUNCATED_JSON, Box

Body = Literal["json", "multipart", "wait"]
Image = Literal[
    "frame",
    "missing",
    "broken_base64",
    "not_an_image",
    "corrupt",
    "empty",
    "truncated",
    "data_url",
    "no_body",
    "text",
    "flat",
]
Failure = Literal["", "detector_500", "detector_timeout", "detector_400", "vision_500", "telegram_400"]
# Three generations of the inference service are in the field; the third is the one that was recorded.
Detector = Literal["first", "second", "third"]
Ending = Literal["ends", "canceled", "crashed", "stays_running", "waits", "deleted", "retried"]

SMOKE = (Box("smoke", 0.7431, (0.40, 0.35, 0.15, 0.33)),)
TWO_SMOKES = (Box("smoke", 0.6617, (0.20, 0.30, 0.10, 0.30)), Box("smoke", 0.4312, (0.70, 0.40, 0.08, 0.26)))
FIRE_AND_SMOKE = (Box("fire", 0.894, (0.36, 0.45, 0.06, 0.15)), Box("smoke", 0.682, (0.30, 0.10, 0.30, 0.40)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way a frame can go. `weight` is its share of the default mix; 0 means only when asked for."""

    name: str
    about: str
    weight: float = 0
    body: Body = "multipart"
    boxes: tuple[Box, ...] = ()
    vision: str = NOTHING_PROSE
    image: Image = "frame"
    metadata: bool = True
    fails: Failure = ""
    telegram_error: str = ""
    ending: Ending = "ends"
    mode: str = "webhook"
    queued_ms: int = 0
    vision_ms: int = 1200
    saves_progress: bool = False
    structured: bool = False
    detector: Detector = "third"

    @property
    def workflow(self) -> str:
        """Which of the stored workflows runs."""
        return "structured" if self.structured else self.body


def _smoke(name: str, about: str, **changes: object) -> Scenario:
    return Scenario(name, about, **({"boxes": SMOKE, "vision": SMOKE_PROSE} | changes))  # type: ignore[arg-type]


ALL: tuple[Scenario, ...] = (
    Scenario("none", "nothing detected, no Telegram (B02)", weight=70),
    Scenario("none_json", "nothing detected, JSON body (A02)", weight=8, body="json"),
    _smoke("smoke", "smoke, Telegram photo sent (B01)", weight=7),
    _smoke("smoke_json", "smoke, JSON body, Telegram message sent (A01)", weight=2, body="json"),
    Scenario(
        "fire_smoke_fence",
        "fire and smoke; the vision model answers JSON in a Markdown fence, not ASCII (A03)",
        weight=1,
        body="json",
        boxes=FIRE_AND_SMOKE,
        vision=FENCED_JSON,
    ),
    Scenario(
        "truncated_json",
        "two smokes; the vision model's JSON is cut off (A04)",
        weight=1,
        body="json",
        boxes=TWO_SMOKES,
        vision=TRUNCATED_JSON,
    ),
    Scenario("detector_500", "the detector answers HTTP 500, JSON body (A05)", body="json", fails="detector_500"),
    Scenario(
        "detector_timeout", "the detector does not answer within 5 s (A06)", body="json", fails="detector_timeout"
    ),
    _smoke(
        "vision_500", "the vision model fails, the detector's result is there (A07)", body="json", fails="vision_500"
    ),
    _smoke(
        "telegram_stops", "Telegram refuses and the execution stops with an error", body="json", fails="telegram_400"
    ),
    Scenario("no_image", "JSON body without image (A09)", body="json", image="missing", fails="detector_400"),
    Scenario(
        "broken_base64", "JSON body with broken base64 (A10)", body="json", image="broken_base64", fails="detector_400"
    ),
    Scenario(
        "not_an_image", "valid base64 that is no image (A11)", body="json", image="not_an_image", fails="detector_400"
    ),
    Scenario("empty_body", "JSON body {} (A12)", body="json", image="no_body", fails="detector_400"),
    _smoke("slow", "the vision model takes 10 s (A13)", weight=1, body="json", vision_ms=10_016),
    Scenario("raw_text", "text/plain body (A15)", body="json", image="text", fails="detector_400"),
    _smoke(
        "telegram_400",
        "Telegram 400, the node continues: success (B03)",
        weight=1,
        telegram_error="Bad Request: chat not found",
    ),
    _smoke(
        "telegram_429",
        "Telegram 429, the node continues: success (B04)",
        telegram_error="Too Many Requests: retry after 14",
    ),
    Scenario("fire_critical", "fire and smoke, critical (B05)", weight=1, boxes=FIRE_AND_SMOKE, vision=SMOKE_PROSE),
    Scenario("detector_500_multipart", "the detector answers HTTP 500 (B06)", weight=1, fails="detector_500"),
    Scenario("image_part_missing", "multipart without image (B07)", image="missing", fails="detector_400"),
    Scenario(
        "metadata_part_missing", "multipart without metadata: success without result (B08)", weight=1, metadata=False
    ),
    Scenario("corrupt_image", "510 bytes that are no JPEG (B09)", image="corrupt", fails="detector_400"),
    Scenario("zero_byte_image", "image part of zero bytes: success without result (B10)", image="empty"),
    _smoke("truncated_image", "a frame that stops before its end", weight=1, image="truncated"),
    _smoke("data_url", "JSON body with a data: prefix before the base64", body="json", image="data_url"),
    Scenario("canceled", "stopped by a user while the vision model runs (C01)", weight=1, ending="canceled"),
    _smoke("retry", "the detector fails; a user retries and it succeeds (C02)", fails="detector_500", ending="retried"),
    _smoke(
        "crashed",
        "n8n is killed while the vision model runs, recovered at its next start (C04)",
        weight=1,
        ending="crashed",
    ),
    _smoke("stays_running", "n8n is killed and never starts again", ending="stays_running"),
    _smoke("queued", "a concurrency limit keeps it `new` for seconds (F1)", weight=1, queued_ms=6700),
    _smoke("waiting", "a Wait node, resumed after 1.5 s (F2)", body="wait", ending="waits"),
    Scenario("deleted", "successes are not kept: the rows are deleted at the end (F3)", ending="deleted"),
    _smoke("progress", "n8n saves after every workflow node (F4)", weight=1, saves_progress=True),
    _smoke("structured", "a Format SAI Output node states the structured contract", weight=2, structured=True),
    Scenario("structured_none", "the same with nothing detected", weight=6, structured=True),
    _smoke("first_detector", "an inference service of the first generation", detector="first"),
    _smoke("second_detector", "one of the second generation, which states no alert level", detector="second"),
    _smoke("flat_body", "another deployment: camera and position stand beside the image", body="json", image="flat"),
    Scenario("manual", "run by hand in n8n's editor, no camera frame", mode="manual"),
)
BY_NAME = {scenario.name: scenario for scenario in ALL}


class UnknownScenario(ValueError):
    """A scenario name that does not exist; the message lists those that do."""


def named(name: str) -> Scenario:
    """The scenario called `name`. Raises UnknownScenario, whose message lists all names."""
    try:
        return BY_NAME[name]
    except KeyError:
        near = get_close_matches(name, BY_NAME, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownScenario(f"There is no scenario {name!r}.{hint} Choose from: {', '.join(BY_NAME)}.") from None


def draw(random: Random, among: Sequence[Scenario] = ALL) -> Scenario:
    """One of `among` by weight; with equal weights when none has one."""
    weights = [scenario.weight for scenario in among]
    return random.choices(among, weights if any(weights) else None)[0]
