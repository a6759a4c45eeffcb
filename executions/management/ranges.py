"""Arguments that several commands share: ranges of time and lists of ids."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime


def moment(text: str) -> datetime:
    """A day (its beginning) or a date and time; without an offset in SAI_TIME_ZONE."""
    try:
        value = parse_datetime(text)
        if value is None and (day := parse_date(text)):
            value = datetime(day.year, day.month, day.day)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no date: {error}") from error
    if value is None:
        raise ArgumentTypeError(f"{text!r} is no date: write 2026-02-19 or 2026-02-19T07:30.")
    return value if timezone.is_aware(value) else timezone.make_aware(value)


def execution_id(text: str) -> int:
    """An execution's id as n8n shows it."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**31:
        raise ArgumentTypeError(f"{text!r} is no execution id: a whole number from 1 to 2147483647.")
    return int(text)


def positive(text: str) -> int:
    """A count of at least one."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1.")
    return int(text)


def add_period(parser: ArgumentParser) -> None:
    """--from and --to: executions created in n8n within [from, to)."""
    parser.add_argument(
        "--from", dest="since", type=moment, metavar="D", help="created in n8n at or after this day or time"
    )
    parser.add_argument("--to", dest="until", type=moment, metavar="D", help="created in n8n before this day or time")
