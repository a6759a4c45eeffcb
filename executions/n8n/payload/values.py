"""Lenient readers of single values. What does not fit becomes None; nothing raises."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from executions.n8n.flatted import clean

OFFSET = re.compile(r"(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})")
# The camera node's own notation: 2026-02-19_07-19-06.
DEVICE_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[_T ](\d{2})-(\d{2})-(\d{2})")
# datetime reads at most microseconds; some services write nanoseconds.
FRACTION = re.compile(r"(\.\d{6})\d+")
YEARS = range(1970, 2200)
MILLISECONDS_FROM = 10**11
SECRET = re.compile(
    r"\b(?:(?P<scheme>Bearer|Basic)\s+(?=\S*[\d+/=]|\S{16})|(?P<bot>bot)\d+:)[\w.~+/=-]{4,}", re.IGNORECASE
)


def number(value: Any, low: float, high: float) -> float | None:
    """A finite number within low..high. Neither booleans nor text count as numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if low <= value <= high else None


def whole(value: Any, low: int, high: int) -> int | None:
    """A whole number within low..high; 300.0 counts, 300.5 does not."""
    if number(value, low, high) is None or value != int(value):
        return None
    return int(value)


def text(value: Any, limit: int) -> str | None:
    """Text without surrounding white space, if there is any and it has at most `limit` characters."""
    if not isinstance(value, str):
        return None
    stripped = clean(value).strip()
    return stripped if 0 < len(stripped) <= limit else None


def identifier(value: Any, limit: int = 100) -> str | None:
    """An id as text; an id may consist of digits only and then sometimes arrives as a number."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    return text(value, limit)


def message(value: Any, limit: int = 1000) -> str | None:
    """A message for people out of an error's text, cut to `limit`, with credentials blacked out."""
    if not isinstance(value, str):
        return None
    stripped = SECRET.sub(lambda found: f"{found['scheme'] or found['bot']} …", clean(value[: 4 * limit])).strip()
    return (stripped if len(stripped) <= limit else stripped[: limit - 1] + "…") or None


def instant(value: Any, zone: tzinfo | None) -> datetime | None:
    """A moment in UTC out of ISO text or a count of seconds or milliseconds since 1970.

    `zone` is assumed where the text states none; with zone None such a text gives None.
    """
    moment = _epoch(value) if isinstance(value, int | float) else _moment(value)
    if moment is None or (moment.tzinfo is None and zone is None):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    try:
        moment = moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return moment if moment.year in YEARS else None


def local_time(value: Any) -> datetime | None:
    """A moment without its zone, as a clock on the wall shows it; None where the text states a zone."""
    moment = _moment(value)
    return None if moment is None or moment.tzinfo or moment.year not in YEARS else moment


def zone(value: Any) -> tzinfo | None:
    """A zone out of `-0300`, `-03:00`, `Z`, `UTC` or a name of the time zone database."""
    name = text(value, 64)
    if name is None:
        return None
    if name.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if match := OFFSET.fullmatch(name):
        minutes = int(match["hours"]) * 60 + int(match["minutes"])
        return timezone(timedelta(minutes=-minutes if match["sign"] == "-" else minutes)) if minutes < 1440 else None
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        return None


def _epoch(value: float) -> datetime | None:
    seconds = number(value, 1, 10**14)
    if seconds is None:
        return None
    seconds = seconds / 1000 if seconds >= MILLISECONDS_FROM else seconds
    return datetime.fromtimestamp(seconds, UTC)


def _moment(value: Any) -> datetime | None:
    stated = text(value, 64)
    if stated is None or len(stated) < len("2026-02-19T07"):  # A date alone is no moment.
        return None
    stated = FRACTION.sub(r"\1", DEVICE_TIME.sub(r"\1T\2:\3:\4", stated))
    try:
        return datetime.fromisoformat(stated)
    except (ValueError, OverflowError):
        return None
