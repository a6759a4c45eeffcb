"""Runs a program in this process and reports its peak memory: `python -m executions.bench.measured REPORT WHAT ...`.

WHAT is a script or, with -m before it, a module. The report is a JSON object {"peak_mb", "cpu_s"}. Nothing of the
program is changed, and nothing is loaded that it would not load itself.
"""

import atexit
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    report, what, *arguments = sys.argv[1:]
    atexit.register(_write, Path(report))
    if what == "-m":
        what, *arguments = arguments
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [what, *arguments]
        sys.path.insert(0, os.getcwd())
        runpy.run_path(what, run_name="__main__")


def _write(report: Path) -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak_kb,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    used = os.times()
    report.write_text(f'{{"peak_mb": {int(peak_kb) * 1024 / 1e6}, "cpu_s": {used.user + used.system}}}')


if __name__ == "__main__":
    main()
