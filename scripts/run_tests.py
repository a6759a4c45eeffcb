"""Runs every check and the tests on two servers, goes on after failures, and sums up in one last line.

    .venv/bin/python -m scripts.run_tests

The embedded PostgreSQL comes first, then PostgreSQL 15 from POSTGRES_15_BIN (default /usr/lib/postgresql/15/bin).
Each check counts like a test. The exit code is 0 only if nothing failed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "test-results"
POSTGRES_15 = Path(os.environ.get("POSTGRES_15_BIN") or "/usr/lib/postgresql/15/bin")

PYTHON = (sys.executable,)
WITH_SERVER = (*PYTHON, "-m", "sai_dashboard.embedded", "run", "--", *PYTHON)
CHECKS: dict[str, Sequence[str]] = {
    "ruff check": (*PYTHON, "-m", "ruff", "check"),
    "ruff format": (*PYTHON, "-m", "ruff", "format", "--check"),
    "mypy": (*PYTHON, "-m", "mypy", "."),
    # A server, because Django compares the migrations with the ones that a database knows.
    "migrations": (*WITH_SERVER, "manage.py", "makemigrations", "--check"),
    "system checks": (*WITH_SERVER, "manage.py", "check", "--fail-level", "WARNING"),
}


@dataclass(frozen=True)
class Counts:
    """What became of tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main() -> int:
    """0 if nothing failed, else 1."""
    RESULTS.mkdir(exist_ok=True)
    lines: list[tuple[str, Counts]] = [(name, check(name, command)) for name, command in CHECKS.items()]
    lines.append(("tests, embedded PostgreSQL", suite("embedded")))
    if (POSTGRES_15 / "postgres").exists():
        lines.append(("tests, PostgreSQL 15", suite(str(POSTGRES_15))))
        remark = ""
    else:
        remark = f"\nNot run: the tests on PostgreSQL 15, which is not in {POSTGRES_15}. Install postgresql-15."
    total = sum((counts for _, counts in lines), Counts())
    print(f"\n{table(lines)}{remark}\n")
    print(total, flush=True)
    (RESULTS / "summary.txt").write_text(f"{total}\n")
    return 1 if total.failed else 0


def check(name: str, command: Sequence[str]) -> Counts:
    """Run one of the checks, which counts as one test."""
    return Counts(passed=1) if call(name, command) == 0 else Counts(failed=1)


def suite(postgres: str) -> Counts:
    """Run all tests on one PostgreSQL: `embedded`, or the folder of its programs."""
    report = RESULTS / f"{'embedded' if postgres == 'embedded' else 'server'}.xml"
    report.unlink(missing_ok=True)
    options = (f"--junitxml={report}", "--durations=10", "-rs", "--continue-on-collection-errors")
    command = (*PYTHON, "-m", "pytest", *options)
    code = call(f"tests on {postgres}", command, {"SAI_TEST_POSTGRES": postgres})
    return settle(code, read_report(report) if report.exists() else Counts())


def settle(code: int, counts: Counts) -> Counts:
    """A run that broke off (no report, an interrupt, a crash at its end) must not look like a success."""
    return counts if code == 0 or counts.failed else counts + Counts(failed=1)


def read_report(report: Path) -> Counts:
    """The counts in a JUnit report; an error in a fixture counts as a failure."""
    counts = Counts()
    for each in ElementTree.parse(report).iter("testsuite"):
        total, failures, errors, skipped = (int(each.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
        counts += Counts(total - failures - errors - skipped, failures + errors, skipped)
    return counts


def call(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    print(f"\n=== {name} ===", flush=True)
    began = time.monotonic()
    code = subprocess.run(command, cwd=PROJECT, env={**os.environ, **(environment or {})}, check=False).returncode
    print(f"=== {name}: {'ok' if code == 0 else 'FAILED'} after {time.monotonic() - began:.0f} s", flush=True)
    return code


def table(lines: Sequence[tuple[str, Counts]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {'FAILED' if counts.failed else 'ok':6}  {counts}" for name, counts in lines)


if __name__ == "__main__":
    sys.exit(main())
