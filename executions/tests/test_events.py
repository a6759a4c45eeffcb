"""What is announced to browsers, and that it is neither lost nor made up."""

import json
import threading
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django_eventstream.models import Event as StoredEvent

from executions import events
from executions.tests import web
from sai_dashboard.embedded import EmbeddedPostgres

committed = pytest.mark.django_db(transaction=True)


def stored() -> list[tuple[int, str, dict[str, Any]]]:
    rows = StoredEvent.objects.filter(channel=events.CHANNEL).order_by("eid")
    return [(row.eid, row.type, json.loads(row.data)) for row in rows]


def publish(number: int) -> None:
    with transaction.atomic():
        events.publish("system:stats", {"number": number})


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_kind_that_the_contract_does_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="execution:changed"):
        events.publish("execution:changed", {})
    assert stored() == []


@committed
def test_outside_of_a_transaction_nothing_is_published() -> None:
    with pytest.raises(TransactionManagementError):
        events.publish("system:stats", {})
    assert stored() == []


@committed
def test_a_rolled_back_transaction_leaves_no_event_and_no_gap() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        events.publish("system:stats", {})
        raise ZeroDivisionError
    publish(1)
    assert [row[0] for row in stored()] == [1]


@pytest.mark.django_db
def test_what_is_no_json_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        events.publish("system:stats", {"confidence": float("nan")})


# --- Storing and notifying -----------------------------------------------------------------------


@committed
def test_the_first_events_of_many_processes_at_once_are_numbered_without_a_gap() -> None:
    def work(number: int) -> None:
        publish(number)
        connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [eid for eid, _kind, _data in stored()] == list(range(1, 9))
    assert {data["number"] for _eid, _kind, data in stored()} == set(range(8))


@committed
def test_the_notification_carries_channel_and_id_only(postgres: EmbeddedPostgres) -> None:
    name = str(connection.settings_dict["NAME"])
    with psycopg.connect(postgres.url(name), autocommit=True) as listening:
        listening.execute(f"LISTEN {events.NOTIFY_CHANNEL}")
        with transaction.atomic():
            events.publish("system:stats", {"text": "x" * 20_000})
            assert list(listening.notifies(timeout=0.1)) == []
        assert [n.payload for n in listening.notifies(timeout=5, stop_after=1)] == ["executions:1"]


# --- Shapes on the wire --------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_new_execution_is_announced_with_its_number() -> None:
    events.execution_new(web.execution(4711))
    ((_eid, kind, data),) = stored()
    assert kind == "execution:new"
    assert data.pop("timestamp").endswith("+00:00")
    assert data == {"execution_id": 4711, "status": "running", "created_at": "2026-02-19T15:00:00.000+00:00"}


@pytest.mark.django_db
def test_a_completed_execution_is_announced_with_its_status_and_duration() -> None:
    events.execution_completed(web.execution(4711, status="crashed"))
    ((_eid, kind, data),) = stored()
    del data["timestamp"]
    assert (kind, data) == (
        "execution:completed",
        {"execution_id": 4711, "status": "crashed", "duration_ms": None},
    )


@pytest.mark.django_db
def test_a_batch_names_its_ends() -> None:
    events.execution_batch(3, 7, 19)
    ((_eid, kind, data),) = stored()
    del data["timestamp"]
    assert (kind, data) == ("execution:batch", {"count": 3, "first_id": 7, "last_id": 19})


@pytest.mark.django_db
def test_before_anything_is_known_every_value_is_null() -> None:
    events.stage2_complete(web.execution(4711), processing_time_ms=88)
    ((_eid, kind, data),) = stored()
    del data["timestamp"]
    unknown = dict.fromkeys(["has_smoke", "alert_level", "detection_count", "has_image", "telegram_sent"])
    assert kind == "etl:stage2:complete"
    assert data == {"execution_id": 4711, "stage": "stage2", "processing_time_ms": 88, "extracted_data": unknown}


@pytest.mark.django_db
def test_what_was_extracted_is_told() -> None:
    row = web.execution(4711, has_smoke=True, alert_level="high", detection_count=0, telegram_sent=False)
    row.phase1_at = web.NOON
    events.stage2_complete(row, processing_time_ms=88)
    assert stored()[0][2]["extracted_data"] == {
        "has_smoke": True,
        "alert_level": "high",
        "detection_count": 0,
        "has_image": False,
        "telegram_sent": False,
    }


@pytest.mark.django_db
def test_a_failed_attempt_is_told_in_a_sentence() -> None:
    events.stage2_failed(4711, "The camera sent no image.", retry_count=2)
    ((_eid, kind, data),) = stored()
    del data["timestamp"]
    said = {"execution_id": 4711, "stage": "stage2", "error": "The camera sent no image.", "retry_count": 2}
    assert (kind, data) == ("etl:stage2:failed", said)


# --- Reading what was missed ---------------------------------------------------------------------


@pytest.mark.django_db
def test_nothing_is_missed_before_the_first_event_or_at_the_newest() -> None:
    assert events.current_id() == 0
    assert events.missed_after(0) == events.Missed()
    publish(1)
    assert events.missed_after(1) == events.Missed()


@pytest.mark.django_db
def test_what_came_after_an_event_is_read_in_order_and_by_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PAGE", 3)
    for number in range(1, 6):
        publish(number)
    first, second = events.missed_after(0), events.missed_after(3)
    assert ([event.id for event in first.events], first.more) == ([1, 2, 3], True)
    assert ([event.id for event in second.events], second.more) == ([4, 5], False)


@pytest.mark.django_db
@pytest.mark.parametrize("last", [0, 1, 99], ids=["trimmed", "its successor trimmed", "never published"])
def test_an_event_that_cannot_be_continued_from_asks_for_a_reset(last: int) -> None:
    for number in range(1, 5):
        publish(number)
    StoredEvent.objects.filter(eid__lte=2).delete()
    assert events.missed_after(last) == events.Missed(reset_to=4)


@pytest.mark.django_db
def test_the_last_trimmed_event_can_still_be_continued_from() -> None:
    for number in range(1, 4):
        publish(number)
    StoredEvent.objects.filter(eid__lte=2).delete()
    assert [event.id for event in events.missed_after(2).events] == [3]


# --- Trimming ------------------------------------------------------------------------------------


def age(eid: int, hours: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE django_eventstream_event SET created = now() - make_interval(hours => %s) WHERE eid = %s",
            [hours, eid],
        )


@pytest.mark.django_db
def test_young_events_stay() -> None:
    publish(1)
    age(1, hours=events.KEPT_HOURS - 1)
    events.trim()
    assert [row[0] for row in stored()] == [1]


@pytest.mark.django_db
def test_trimming_leaves_no_gap_even_when_the_clock_went_back() -> None:
    for number in range(1, 5):
        publish(number)
    age(3, hours=events.KEPT_HOURS + 1)
    events.trim()
    assert [row[0] for row in stored()] == [4]


@pytest.mark.django_db
def test_publishing_trims_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "TRIM_EVERY", 3)
    publish(1)
    age(1, hours=events.KEPT_HOURS + 1)
    publish(2)
    assert [row[0] for row in stored()] == [1, 2]
    publish(3)
    assert [row[0] for row in stored()] == [2, 3]
