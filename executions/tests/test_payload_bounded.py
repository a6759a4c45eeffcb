"""What is stored of foreign JSON: no secrets, no image bytes, nothing endless."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executions.n8n.payload.bounded import MAX_BYTES, response, storable

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@pytest.mark.parametrize("key", ["headers", "Authorization", "resumeToken", "cookie", "token", "password"])
def test_secrets_are_left_out_wherever_they_stand(key: str) -> None:
    said = {key: "secret", "a": [{key: {"x": "secret"}, "b": 1}]}
    assert storable(said) == ({"a": [{"b": 1}]}, False)


def test_image_bytes_are_left_out_and_facts_about_the_image_stay() -> None:
    said = {"image": {"brightness_avg": 112.4, "base64": "AAAA"}, "annotated_image": "AAAA", "images": ["AAAA"]}
    assert storable(said)[0] == {"image": {"brightness_avg": 112.4}}
    assert storable({"image": "AAAA", "camera": 1})[0] == {"camera": 1}


def test_an_encoded_file_of_any_name_is_left_out_and_a_long_text_is_cut() -> None:
    copy, is_cut = storable({"photo": "A" * 10_000, "text": "a word " * 1_000})
    assert copy["photo"] is None
    assert len(copy["text"]) == 4_000
    assert is_cut


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**30, -(10**30)])
def test_numbers_that_no_column_holds_become_null(value: float) -> None:
    assert storable({"a": value}) == ({"a": None}, False)


def test_what_is_too_deep_or_too_long_is_cut() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    assert storable(deep)[1]
    assert storable({"a": list(range(100_000))})[1]


def test_what_is_still_too_large_keeps_its_plain_values() -> None:
    said = {"id": 7, "rows": [{"text": "a word " * 500} for _ in range(100)]}
    assert storable(said) == ({"id": 7}, True)
    assert storable({str(i): "a word " * 500 for i in range(1_000)}) == ({}, True)


@given(st.dictionaries(st.text(), ANY, max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
def test_the_copy_always_fits_a_jsonb_column(said: dict[str, Any]) -> None:
    copy, _ = storable(said)
    text = json.dumps(copy, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text
    assert len(text.encode()) <= 4 * MAX_BYTES


def test_a_response_is_cut_with_a_note() -> None:
    notes: dict[str, str] = {}
    assert response("fine\x00", notes) == "fine" and not notes
    assert len(response("x" * 200_000, notes)) == 100_000
    assert "200,000" in notes["raw_response"]
