"""How benchmark figures are judged and shown."""

import json
from pathlib import Path

import pytest

from executions.bench import report
from executions.bench.figures import BenchError, Figure, Target, percentile

SLOW = Figure("record", "p99", 250.0, "ms", 2.0, "bare LISTEN", Target("value", 100), "a note")
QUICK = Figure("record", "p50", 6.0, "ms", 1.0, "bare LISTEN", Target("difference", 10))
MACHINE = ["Machine: two cores"]


def test_nothing_measured_is_no_percentile() -> None:
    with pytest.raises(BenchError, match="Nothing was measured"):
        percentile([], 50)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 2.5), (99, 3.97), (100, 4)])
def test_a_percentile_lies_between_two_values(percent: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == pytest.approx(expected)


@pytest.mark.parametrize("reference", [None, 0.0, -0.1])
def test_without_a_reference_above_nothing_there_is_no_ratio_and_no_verdict_on_it(reference: float | None) -> None:
    figure = Figure("p", "n", 3, "ms", reference, target=Target("ratio", 2))
    assert figure.ratio is None
    assert figure.is_met is None


def test_without_a_target_there_is_no_verdict() -> None:
    assert Figure("p", "n", 3, "ms", 1).is_met is None


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        (Target("value", 6), True),
        (Target("value", 5.9), False),
        (Target("ratio", 3), True),
        (Target("ratio", 2.9), False),
        (Target("difference", 4), True),
        (Target("difference", 3.9), False),
        (Target("value", 6, at_least=True), True),
        (Target("ratio", 3.1, at_least=True), False),
    ],
)
def test_a_target_bounds_value_ratio_or_difference(target: Target, is_met: bool) -> None:
    assert Figure("p", "n", 6, "ms", 2, target=target).is_met is is_met


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (1.5, "1.50"), (12.34, "12.3"), (33030.4, "33,030"), (-2.0, "-2.00")],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (None, ""),
        (Target("value", 100), "≤ 100 ms"),
        (Target("ratio", 1.3), "≤ 1.3 ×"),
        (Target("difference", 10), "≤ reference + 10 ms"),
        (Target("value", 10, at_least=True), "≥ 10 ms"),
    ],
)
def test_a_target_is_written_as_a_bound(target: Target | None, text: str) -> None:
    assert report.target_text(target, "ms") == text


def test_the_table_shows_each_figure_beside_its_reference_with_a_verdict() -> None:
    lines = report.table([SLOW, QUICK], MACHINE).splitlines()
    assert lines[0] == MACHINE[0]
    slow, quick = lines[3:5]
    assert " ".join(slow.split()) == "record p99 250 ms 2.00 ms bare LISTEN 125 × ≤ 100 ms MISSED"
    assert quick.endswith("met")
    assert lines[-1] == "record, p99: a note"


def test_markdown_has_one_row_for_each_figure() -> None:
    lines = report.markdown([SLOW, QUICK], MACHINE).splitlines()
    assert lines[0] == "- Machine: two cores"
    assert [line.count("|") for line in lines if line.startswith("|")] == [len(report.HEADINGS) + 1] * 4
    assert "| MISSED |" in lines[4]


def test_json_tells_ratio_and_verdict() -> None:
    found = json.loads(report.as_json([SLOW], MACHINE))
    assert found["machine"] == MACHINE
    assert (found["figures"][0]["ratio"], found["figures"][0]["is_met"]) == (125, False)


@pytest.mark.parametrize("text", ["", "no markers", f"{report.BEGIN} only", f"{report.END}{report.BEGIN}"])
def test_a_document_without_both_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    document = tmp_path / "performance.md"
    document.write_text(text)
    with pytest.raises(BenchError, match="has no lines"):
        report.put_into(document, "new")
    assert document.read_text() == text


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for content in ("new", "newer"):
        report.put_into(document, content)
    assert document.read_text() == f"before\n{report.BEGIN}\nnewer\n{report.END}\nafter\n"
