"""Whatever n8n holds, the worker ends with a result or a recorded reason, never with an exception."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import N8nDatabase
from executions.ingest import queue
from executions.ingest.recording import record
from executions.ingest.worker import process
from executions.models import Execution, QueueItem
from executions.n8n.flatted import encode
from executions.tests.samples import insert, sample

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])

# PostgreSQL itself refuses NUL in text, so n8n cannot have stored one unescaped.
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
KEYS = TEXT | st.sampled_from(
    ["resultData", "runData", "executionData", "nodeExecutionStack", "data", "main", "json", "binary", "image"]
    + ["body", "metadata", "Webhook", "YOLO", "Ollama", "Telegram", "detections", "bbox", "confidence", "response"]
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
ITEM = st.fixed_dictionaries({"json": JSON | st.dictionaries(KEYS, JSON)}, optional={"binary": JSON})
RUN = st.fixed_dictionaries({"data": st.fixed_dictionaries({"main": st.lists(st.lists(ITEM | JSON))})}) | JSON
# Shaped like an execution down to some level, then anything.
EXECUTIONS = st.fixed_dictionaries(
    {
        "resultData": st.fixed_dictionaries(
            {"runData": st.dictionaries(KEYS, st.lists(RUN, max_size=2) | JSON), "lastNodeExecuted": JSON}
        ),
        "executionData": JSON,
    }
)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def extract_again(n8n: N8nDatabase, text: str) -> None:
    """Both phases over this data; an unexpected error would have counted an attempt."""
    n8n.execute("UPDATE execution_data SET data = %s", (text,))
    queue.request_both([1], queue.LIVE)
    QueueItem.objects.update(queued_at="2026-01-01T00:00Z")  # Waited for long enough.
    for _ in range(2):  # Phase 2 asks for phase 1 once more when it finds what phase 1 could not read.
        for claim in queue.claim("anna", 10):
            assert queue.begin(claim)
            process(claim)
    states = QueueItem.objects.values_list("status", "last_error")
    assert set(states) == {("completed", None)}
    assert Execution.objects.get().phase2_at is not None


@pytest.fixture
def ended(n8n: N8nDatabase, image_root: Path) -> N8nDatabase:
    """An execution that is recorded and over, its extraction still to be asked for."""
    insert(n8n, sample("1.123.5", 1))
    record([1])
    QueueItem.objects.update(status="completed")
    return n8n


@FEW
@given(value=JSON)
def test_any_json_text(ended: N8nDatabase, value: Any) -> None:
    extract_again(ended, json.dumps(value))


@FEW
@given(value=EXECUTIONS)
def test_anything_shaped_like_an_execution(ended: N8nDatabase, value: Any) -> None:
    extract_again(ended, encode(value))


@FEW
@given(data=st.data())
def test_a_recording_with_some_values_replaced(ended: N8nDatabase, data: st.DataObject) -> None:
    entries = json.loads(sample("1.123.5", 1).text)
    for index in data.draw(st.lists(st.integers(0, len(entries) - 1), min_size=1, max_size=3)):
        entries[index] = data.draw(JSON)
    extract_again(ended, json.dumps(entries))
