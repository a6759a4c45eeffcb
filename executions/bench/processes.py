"""Processes that a bench starts and stops."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from executions.bench.figures import BenchError

PROJECT = Path(__file__).resolve().parents[2]


class Running:
    """A Python process in a `with` block, which ends it. Its output goes to `log`."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.arguments, self.log = arguments, log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [sys.executable, *arguments], cwd=PROJECT, env=dict(env), stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        self._popen.wait()

    def wait_for(self, text: str, timeout_s: float = 90) -> None:
        """Until the log holds this text."""
        until(lambda: text in self.output(), f"{self.arguments} to say {text!r}", timeout_s, self)

    def finish(self, timeout_s: float = 300) -> None:
        """Wait for the end. Raises BenchError when it takes too long or fails."""
        until(lambda: self._popen.poll() is not None, f"the end of {self.arguments}", timeout_s)
        if self._popen.returncode:
            raise BenchError(f"{self.arguments} failed:\n{self.output()[-2000:]}")

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Raises BenchError when it has ended."""
        if self._popen.poll() is not None:
            raise BenchError(f"{self.arguments} ended early:\n{self.output()[-2000:]}")


def until(condition: Callable[[], bool], what: str, timeout_s: float = 60, process: Running | None = None) -> None:
    """Wait for a condition; raises BenchError after `timeout_s`, or when `process` ends before."""
    end = time.monotonic() + timeout_s
    while not condition():
        if process is not None:
            process.check()
        if time.monotonic() > end:
            raise BenchError(f"Waited {timeout_s:g} s in vain for {what}.")
        time.sleep(0.02)
