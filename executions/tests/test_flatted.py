"""n8n's flattened JSON: whatever the text, a value comes out or MalformedData, never anything else."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executions.n8n.flatted import Document, MalformedData, decode, encode
from executions.tests.samples import Sample, all_samples

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)
READABLE = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | READABLE,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(READABLE, inner, max_size=5),
    max_leaves=30,
)
# A shared machine may be slow at times; that is no fault of the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7", '"x"', "null", "[" * 100_000, "[1", "[" + "9" * 5000 + "]"])
def test_text_that_is_not_flatted_is_malformed(text: str) -> None:
    with pytest.raises(MalformedData):
        decode(text)


@pytest.mark.parametrize("reference", ["7", "-1", "x", "", "1.0", " 1", "1_0", "１", "9" * 30])
def test_a_reference_to_nowhere_is_malformed_when_it_is_followed(reference: str) -> None:
    document = decode(json.dumps([{"a": reference, "b": "1"}, "fine"]))
    assert document.get("b") == "fine"
    with pytest.raises(MalformedData):
        document.get("a")
    with pytest.raises(MalformedData):
        document.resolve(document.root)


def test_a_string_is_an_index_inside_a_container_and_itself_as_an_entry() -> None:
    document = decode('[{"a":"1","b":2,"c":["1","2",null,true]},"2",{"d":"1"}]')
    assert document.resolve(document.root) == {"a": "2", "b": 2, "c": ["2", {"d": "2"}, None, True]}


def test_a_path_that_does_not_exist_gives_none() -> None:
    document = decode('[{"a":"1"},["2"],"text"]')
    assert document.get("a", 0) == "text"
    assert document.get("a", 1) is document.get("b", "c") is document.get("a", 0, "x") is None
    # A missing start is not the root.
    assert document.get("a", start=document.get("b")) is None


def test_items_and_elements_of_anything_else_are_none_at_all() -> None:
    document = decode('[{"a":"1"},["2",5],"text"]')
    assert list(document.items(document.root)) == [("a", ["2", 5])]
    assert list(document.elements(document.get("a"))) == ["text", 5]
    assert not list(document.items("text"))
    assert not list(document.elements({"a": 1}))


def test_five_thousand_levels_are_resolved() -> None:
    depth = 5_000
    document = decode(json.dumps([{"a": str(i + 1)} for i in range(depth)] + ["bottom"]))
    value = document.resolve(document.root)
    for _ in range(depth):
        value = value["a"]
    assert value == "bottom"


def test_a_cycle_ends_where_it_would_begin_again() -> None:
    document = decode('[{"me":"0","list":"1"},["0","1","2"],"x"]')
    assert document.resolve(document.root) == {"me": None, "list": [None, None, "x"]}


def test_a_shared_object_is_no_cycle() -> None:
    document = decode('[["1","1"],{"a":1}]')
    assert document.resolve(document.root) == [{"a": 1}, {"a": 1}]


def test_a_few_lines_cannot_unfold_into_gigabytes() -> None:
    bomb = decode(json.dumps([[str(i + 1)] * 10 for i in range(30)] + ["boom"]))
    assert len(json.dumps(bomb.resolve(bomb.root, max_values=10_000))) < 100_000


def test_depth_is_cut_where_it_is_limited() -> None:
    document = decode(encode({"a": {"b": {"c": 1}}}))
    assert document.resolve(document.root, max_depth=2) == {"a": {"b": {}}}


def test_skipped_keys_are_not_resolved() -> None:
    document = decode('[{"headers":"99","body":"1"},{"headers":"99","x":1}]')
    assert document.resolve(document.root, skip={"headers"}) == {"body": {"x": 1}}


def test_text_comes_out_as_postgresql_accepts_it() -> None:
    document = decode('[{"a\\u0000":"1","b":"2"},"x\\u0000y","\\ud83d!"]')
    value = document.resolve(document.root)
    assert value == {"a": "xy", "b": "�!"}
    json.dumps(value, ensure_ascii=False).encode()


def test_words_that_are_no_json_become_none() -> None:
    assert decode("[NaN]").root is None
    assert decode('[{"a":Infinity,"b":-Infinity}]').root == {"a": None, "b": None}


def test_equal_strings_are_written_once() -> None:
    assert encode({"a": "x", "b": ["x", 1, 2.0, None]}) == '[{"a":"1","b":"2"},"x",["1",1,2,null]]'


def test_text_is_written_as_javascript_writes_it() -> None:
    assert encode(["ñ", 880.0000000000001, "/"]) == '[["1",880.0000000000001,"2"],"ñ","/"]'


@given(PLAIN)
@UNHURRIED
def test_what_is_written_is_read_again(value: Any) -> None:
    document = decode(encode(value))
    assert document.resolve(document.root) == value


@given(JSON)
@UNHURRIED
def test_any_json_gives_a_value_or_malformed_data(value: Any) -> None:
    text = json.dumps(value)
    try:
        document: Document = decode(text)
        document.resolve(document.root)
        document.get("resultData", "runData", 0, "x")
    except MalformedData:
        return


@pytest.mark.parametrize("one", all_samples(), ids=str)
def test_recorded_data_survives_reading_and_writing(one: Sample) -> None:
    value = one.document.resolve(one.document.root)
    again = decode(encode(value))
    assert again.resolve(again.root) == value
    assert value["resultData"].keys() >= {"runData"}
