"""What the figures were measured on, and what the kernel knows of a process's CPU and memory (Linux's /proc)."""

import os
import platform
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MB = 1_000_000


def facts(postgresql: str) -> list[str]:
    """The machine, the programs and the day, one sentence each."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return [
        f"Machine: {_cpu_model()}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}",
        f"Programs: Python {platform.python_version()}, PostgreSQL {postgresql.split()[0]}",
        f"Date: {datetime.now(UTC):%Y-%m-%d}; load of the machine at the start (1, 5, 15 minutes): {load}",
    ]


def cpu_s(pid: int) -> float:
    """User and system time that a process has used, in seconds; its children do not count."""
    # The second field is the program's name in parentheses, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that a process has had resident."""
    return _kb(Path(f"/proc/{pid}/status").read_text(), "VmHWM") / MB


def pss_mb(pid: int) -> float:
    """The memory of a process, with what it shares divided among those who share it."""
    return _kb(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss") / MB


def growth_mb(function: Callable[[], object]) -> float:
    """By how much the memory of this process rises at most while the function runs."""
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts anew.
    before = peak_mb()
    function()
    return peak_mb() - before


def _kb(text: str, name: str) -> int:
    """A line of /proc as bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
