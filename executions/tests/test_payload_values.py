"""Single values of foreign JSON: what does not fit becomes None."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from executions.n8n.payload import values

ARGENTINA = timezone(timedelta(hours=-3))


@pytest.mark.parametrize("value", [None, True, "0.5", [], {}, float("nan"), float("inf"), 7, -0.1, 10**400])
def test_what_is_no_confidence_is_none(value: Any) -> None:
    assert values.number(value, 0, 1) is None


@pytest.mark.parametrize("value", [0, 1, 0.5, 1.0])
def test_bounds_belong_to_the_range(value: float) -> None:
    assert values.number(value, 0, 1) == value


@pytest.mark.parametrize("value, expected", [(300, 300), (300.0, 300), (300.5, None), ("300", None), (-1, None)])
def test_a_whole_number_may_be_written_with_a_point(value: Any, expected: int | None) -> None:
    assert values.whole(value, 0, 1000) == expected


@pytest.mark.parametrize("value", [None, 7, "", "  ", "\x00", "x" * 11])
def test_what_is_no_short_text_is_none(value: Any) -> None:
    assert values.text(value, 10) is None


def test_text_is_stripped_of_what_postgresql_refuses() -> None:
    assert values.text(" a\x00b\ud800 ", 10) == "ab�"


@pytest.mark.parametrize("value, expected", [("0042", "0042"), (42, "42"), (True, None), (1.5, None), (10**30, None)])
def test_an_id_of_digits_is_text(value: Any, expected: str | None) -> None:
    assert values.identifier(value) == expected


@pytest.mark.parametrize(
    "said",
    [
        "401 for Bearer abc.def-123",
        "401 for bearer 12345678",
        "Basic dXNlcjpwYXNzd29yZA==",
        "POST https://api.telegram.org/bot123456:AAAA-BBBB/sendPhoto",
    ],
)
def test_credentials_in_messages_are_blacked_out(said: str) -> None:
    found = values.message(said)
    assert found is not None and found.count("…") == 1
    assert not any(secret in found for secret in ("abc.def", "12345678", "dXNlc", "AAAA"))


def test_a_message_is_cut_and_ordinary_words_stay() -> None:
    assert values.message("Basic information about a bearer of news") == "Basic information about a bearer of news"
    assert values.message("x" * 2000, 10) == "x" * 9 + "…"
    assert values.message("  ") is values.message(None) is values.message({"a": 1}) is None


@pytest.mark.parametrize(
    "value, expected",
    [
        ("2026-02-19T10:19:06.123456Z", datetime(2026, 2, 19, 10, 19, 6, 123456, UTC)),
        ("2026-02-19T10:19:06.123456789Z", datetime(2026, 2, 19, 10, 19, 6, 123456, UTC)),
        ("2026-02-19T07:19:06-03:00", datetime(2026, 2, 19, 10, 19, 6, tzinfo=UTC)),
        ("2026-02-19_07-19-06", datetime(2026, 2, 19, 10, 19, 6, tzinfo=UTC)),
        ("2026-02-19 07:19:06", datetime(2026, 2, 19, 10, 19, 6, tzinfo=UTC)),
        (1771496346, datetime(2026, 2, 19, 10, 19, 6, tzinfo=UTC)),
        (1771496346000, datetime(2026, 2, 19, 10, 19, 6, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_every_notation(value: Any, expected: datetime) -> None:
    assert values.instant(value, ARGENTINA) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2026-02-19",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
    ]
    + [-1, 0, 10**20, float("nan"), float("inf"), "1969-12-31T23:00:00Z", {}, "2026-02-19T07:19:06+99:00"],
)
def test_what_is_no_moment_is_none(value: Any) -> None:
    assert values.instant(value, ARGENTINA) is None
    assert values.local_time(value) is None


def test_a_moment_without_a_zone_needs_one() -> None:
    assert values.instant("2026-02-19T07:19:06", None) is None
    assert values.local_time("2026-02-19_07-19-06") == datetime(2026, 2, 19, 7, 19, 6)
    assert values.local_time("2026-02-19T07:19:06Z") is None


@pytest.mark.parametrize(
    "value, hours", [("-0300", -3), ("-03:00", -3), ("+0530", 5.5), ("Z", 0), ("UTC", 0), ("UTC-03:00", -3)]
)
def test_a_stated_offset_is_a_zone(value: str, hours: float) -> None:
    zone = values.zone(value)
    assert zone is not None and zone.utcoffset(None) == timedelta(hours=hours)


def test_a_name_is_a_zone() -> None:
    assert str(values.zone("America/Argentina/Cordoba")) == "America/Argentina/Cordoba"


@pytest.mark.parametrize(
    "value", [None, "", -3, "+9900", "Mars/Base", "../../etc/passwd", "/etc/passwd", "America", "\x00"]
)
def test_what_is_no_zone_is_none(value: Any) -> None:
    assert values.zone(value) is None
