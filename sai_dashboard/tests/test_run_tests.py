"""The sum at the end of `make test` tells the truth, also when a run breaks off."""

import sys
from pathlib import Path

import pytest

from scripts.run_tests import Counts, check, read_report, settle, table


@pytest.mark.parametrize("code", [1, 2, 3, -9])
def test_a_run_that_broke_off_is_no_success(code: int) -> None:
    assert settle(code, Counts()) == Counts(failed=1)
    assert settle(code, Counts(passed=9)) == Counts(passed=9, failed=1)


def test_what_pytest_counted_is_not_counted_again() -> None:
    assert settle(1, Counts(passed=3, failed=2)) == Counts(passed=3, failed=2)
    assert settle(0, Counts(passed=3, skipped=1)) == Counts(passed=3, skipped=1)


def test_errors_of_fixtures_are_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite name="a" tests="9" failures="1" errors="2" skipped="3"/>'
        '<testsuite name="b" tests="2" failures="0" errors="0" skipped="0"/></testsuites>'
    )
    assert read_report(report) == Counts(passed=5, failed=3, skipped=3)


def test_a_check_counts_as_one_test(capfd: pytest.CaptureFixture[str]) -> None:
    assert check("good", (sys.executable, "-c", "")) == Counts(passed=1)
    assert check("bad", (sys.executable, "-c", "raise SystemExit(3)")) == Counts(failed=1)
    assert "bad: FAILED after" in capfd.readouterr().out


def test_the_sum_reads_as_one_plain_line() -> None:
    lines = [("one", Counts(passed=2)), ("another", Counts(failed=1, skipped=4))]
    assert table(lines).splitlines()[1] == "another  FAILED  0 passed, 1 failed, 4 skipped"
    assert str(Counts(2) + Counts(failed=1, skipped=4)) == "2 passed, 1 failed, 4 skipped"
