"""Counting for lists that may be a million rows long."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from executions import paginator
from executions.models import Execution
from executions.paginator import EstimatingPaginator
from executions.tests import web

pytestmark = pytest.mark.django_db


def count(rows: Any) -> int:
    return EstimatingPaginator(rows, 50).count


def test_nothing_is_counted_as_nothing() -> None:
    assert count(Execution.objects.none()) == 0
    assert count([]) == 0


def test_few_rows_are_counted_exactly() -> None:
    for number in range(5):
        web.execution(number)
    assert count(Execution.objects.latest_first()) == 5
    assert count(Execution.objects.filter(pk__lt=2).latest_first()) == 2


def test_many_rows_are_estimated_and_never_counted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paginator, "EXACT_UP_TO", 3)
    for number in range(9):
        web.execution(number)
    with CaptureQueriesContext(connection) as queries:
        assert count(Execution.objects.latest_first()) >= 4
    assert [("LIMIT 4" in query["sql"], "EXPLAIN" in query["sql"]) for query in queries.captured_queries] == [
        (True, False),
        (False, True),
    ]


def test_the_estimate_follows_the_statistics() -> None:
    for number in range(200):
        web.execution(number)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sai_executions")
    assert paginator.estimate(Execution.objects.all()) == 200
