"""An execution as people see it: short prepared texts, and an honest sentence for everything that is absent.

Pure presentation. Rows come in, frozen values for templates go out; nothing is asked of the database here, so rows
are loaded by `load`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from executions.models import (
    Execution,
    ExecutionQuerySet,
    InferenceResult,
    QueueItem,
    QueuePhase,
    QueueStatus,
    RiskLevel,
)

# What a picture is drawn in until the image's size is known.
DEFAULT_SIZE = (16, 9)


@dataclass(frozen=True)
class Moment:
    """A time for a `<time>` element: machine-readable, and as shown in the pages' zone."""

    iso: str
    text: str


@dataclass(frozen=True)
class Box:
    """A detection's rectangle in units of the image's pixels, and what it is."""

    kind: str
    label: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Picture:
    """The image with its boxes, or the reason why there is none."""

    thumb_url: str | None
    preview_url: str | None
    original_url: str | None
    width: int
    height: int
    boxes: Sequence[Box]
    note: str

    @property
    def view_box(self) -> str:
        return f"0 0 {self.width} {self.height}"

    @property
    def fills(self) -> bool:
        """As good as 16:9, the shape of the frame: then it is stretched over the last pixel instead of framed."""
        return abs(self.width * 9 / (self.height * 16) - 1) < 0.01


@dataclass(frozen=True)
class Label:
    """A state: `code` for the style sheet, `text` for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Card:
    """All that a card shows of one execution."""

    id: int
    url: str
    camera: str
    device: str
    frame_at: Moment | None
    frame_at_label: str
    picture: Picture
    level: Label
    findings: Sequence[Label]
    result_note: str
    confidence: str
    status: Label
    telegram: Label


def load(executions: ExecutionQuerySet) -> list[Card]:
    """The cards of these executions in their order, with four queries however many there are."""
    failed = QueueItem.objects.filter(status=QueueStatus.FAILED)
    rows = list(executions.for_cards().prefetch_related(Prefetch("queue_items", failed, to_attr="failed_items")))
    stuck = set(Execution.objects.stuck().filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
    return [card(row, failed_items=row.failed_items, is_stuck=row.pk in stuck) for row in rows]  # type: ignore[attr-defined]


def card(execution: Execution, *, failed_items: Iterable[QueueItem] = (), is_stuck: bool = False) -> Card:
    """The card of an execution that was loaded with `for_cards`."""
    failures = {item.phase: item.last_error or _("no reason was recorded") for item in failed_items}
    result = getattr(execution, "inference_result", None)
    return Card(
        id=execution.pk,
        url=reverse("execution", args=[execution.pk]),
        camera=execution.camera.camera_id if execution.camera else _("Unknown camera"),
        device=str(execution.node) if execution.node else "",
        frame_at=moment(execution.frame_at),
        frame_at_label=_("Captured") if execution.captured_at else _("Received"),
        picture=_picture(execution, result, failures.get(QueuePhase.CREATED)),
        level=_level(execution, result),
        findings=_findings(result),
        result_note=_result_note(execution, result, failures.get(QueuePhase.COMPLETED)),
        confidence=percent(execution.confidence_score),
        status=_status(execution, is_stuck),
        telegram=_telegram(execution),
    )


def moment(at: datetime | None) -> Moment | None:
    """A time as pages show it, to the second; the year only when it is another one."""
    if at is None:
        return None
    local = timezone.localtime(at)
    pattern = "j M H:i:s" if local.year == timezone.localtime().year else "j M Y H:i:s"
    return Moment(local.isoformat(timespec="seconds"), date_format(local, pattern))


def percent(share: Any) -> str:
    """0.873 as `87 %`; empty for what is not known."""
    return "" if share is None else f"{round(float(share) * 100)} %"


def image_url(execution: Execution, rendition: str) -> str | None:
    """The address of a stored rendition; it names the content too, so browsers may keep it for ever."""
    if not getattr(execution, f"image_{rendition}_path"):
        return None
    address = reverse("execution-image", args=[execution.pk, rendition])
    return f"{address}?v={(execution.image_sha256 or '')[:12]}"


def detections(result: InferenceResult | None) -> list[dict[str, Any]]:
    stored = result.detections if result else None
    return [found for found in stored if isinstance(found, dict)] if isinstance(stored, list) else []


def class_label(name: Any) -> str:
    known = {"smoke": _("Smoke"), "fire": _("Fire"), "flame": _("Flame")}
    return known.get(str(name).lower(), str(name))


def _picture(execution: Execution, result: InferenceResult | None, failure: str | None) -> Picture:
    width, height = execution.image_width, execution.image_height
    size = (width, height) if width and height else DEFAULT_SIZE
    return Picture(
        thumb_url=image_url(execution, "thumb"),
        preview_url=image_url(execution, "webp"),
        original_url=image_url(execution, "original"),
        width=size[0],
        height=size[1],
        boxes=[box for found in detections(result) if (box := _box(found, size))],
        note=_image_note(execution, failure),
    )


def _box(found: dict[str, Any], size: tuple[int, int]) -> Box | None:
    bbox = found.get("bbox")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(isinstance(edge, int | float) for edge in bbox)):
        return None
    x, y, width, height = (f"{edge * size[axis % 2]:.2f}" for axis, edge in enumerate(bbox))
    name = str(found.get("class", "")).lower()
    label = f"{class_label(name)} {percent(found.get('confidence'))}".strip()
    return Box(name if name in ("smoke", "fire") else "other", label, x, y, width, height)


def _image_note(execution: Execution, failure: str | None) -> str:
    """Why there is no picture, or what is wrong with it."""
    notes = _notes(execution, "phase1")
    if execution.image_thumb_path:
        return _("The image arrived incomplete.") if execution.image_is_truncated else ""
    reason = failure or notes.get("image") or notes.get("payload")
    if reason:
        return _("No image: %(reason)s") % {"reason": reason}
    return _("No image, and no reason was recorded.") if execution.phase1_at else _("Waiting for the image…")


def _level(execution: Execution, result: InferenceResult | None) -> Label:
    """The model's verdict; else the level that the inference service stated, in its own word.

    That one is known to be too high for frames without detections, and so gets no colour there.
    """
    if execution.risk_level:
        return Label(execution.risk_level, _("Risk: %(level)s") % {"level": RiskLevel(execution.risk_level).label})
    if execution.alert_level:
        said = execution.alert_level
        is_backed = said.lower() in RiskLevel.values and bool(execution.detection_count)
        return Label(said.lower() if is_backed else "unknown", _("Alert level: %(level)s") % {"level": said})
    return Label("unknown", _("No level stated")) if result else Label("", "")


def _findings(result: InferenceResult | None) -> list[Label]:
    """What was seen, by kind, each with how often and how sure at most."""
    by_kind: dict[str, list[float]] = {}
    for found in detections(result):
        by_kind.setdefault(str(found.get("class", "")), []).append(float(found.get("confidence") or 0))
    labels = [_finding(kind, scores) for kind, scores in by_kind.items()]
    seen = {kind.lower() for kind in by_kind}
    flags = {"smoke": result and result.has_smoke, "fire": result and result.has_fire}
    return labels + [Label(kind, class_label(kind)) for kind, stated in flags.items() if stated and kind not in seen]


def _finding(kind: str, scores: Sequence[float]) -> Label:
    text = class_label(kind)
    if len(scores) > 1:
        text += f" ×{len(scores)}"
    if max(scores) > 0:
        text += f" {percent(max(scores))}"
    return Label(kind.lower() if kind.lower() in ("smoke", "fire") else "other", text)


def _result_note(execution: Execution, result: InferenceResult | None, failure: str | None) -> str:
    """A sentence where no finding stands: what is awaited, or why nothing will come. Silence is never "no fire"."""
    if result is not None:
        return _no_finding(result)
    notes = _notes(execution, "phase2")
    if failure or execution.phase2_at:
        reason = failure or notes.get("detector") or notes.get("vision") or notes.get("payload")
        return (
            _("No result: %(reason)s") % {"reason": reason} if reason else _("No result, and no reason was recorded.")
        )
    if execution.is_final:
        return _("Reading the result…")
    if execution.source_deleted_at:
        return _("No result: n8n no longer has this execution.")
    return _("Waiting for the detector…")


def _no_finding(result: InferenceResult) -> str:
    if detections(result) or result.has_smoke or result.has_fire:
        return ""
    if result.has_smoke is False and result.has_fire is False:
        return _("The model saw no smoke and no fire.")
    if result.has_smoke is False:
        return _("The model saw no smoke; it says nothing of fire.")
    if result.has_fire is False:
        return _("The model saw no fire; it says nothing of smoke.")
    return _("The model answered, but does not say whether it saw smoke or fire.")


def _status(execution: Execution, is_stuck: bool) -> Label:
    if execution.source_deleted_at and not execution.is_final:
        return Label("error", _("Gone from n8n"))
    if is_stuck:
        return Label("stuck", _("Stuck"))
    return Label(execution.status, execution.get_status_display())


def _telegram(execution: Execution) -> Label:
    notification = getattr(execution, "notification", None)
    if notification is None:
        return Label("none", _("No Telegram message")) if execution.phase2_at else Label("", "")
    if notification.telegram_sent:
        return Label("sent", _("Telegram sent"))
    if notification.telegram_sent is None:
        return Label("unknown", _("Telegram: unknown whether sent"))
    return Label("failed", _("Telegram failed"))


def _notes(execution: Execution, phase: str) -> dict[str, str]:
    """What extraction noted in this phase; keys name what is absent or odd."""
    notes = execution.extraction_notes.get(phase) if isinstance(execution.extraction_notes, dict) else None
    return notes if isinstance(notes, dict) else {}


def all_notes(execution: Execution) -> list[tuple[str, str]]:
    """What each note is about, and the note; for the detail page."""
    notes = [item for phase in ("phase1", "phase2") for item in _notes(execution, phase).items()]
    return [(about.replace("_", " "), str(text)) for about, text in notes]
