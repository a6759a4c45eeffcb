"""The life of an execution in n8n's tables, one commit after the other, as n8n makes them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from executions.simulator.binaries import Binaries
from executions.simulator.document import Document
from executions.simulator.errors import canceled_error, lost_error
from executions.simulator.fleet import Shot
from executions.simulator.runs import Course, Planner, webhook_item
from executions.simulator.scenarios import Scenario
from executions.simulator.services import Json
from executions.simulator.writer import Row, Writer

NEVER = datetime(3000, 1, 1, tzinfo=UTC)


class Step(NamedTuple):
    """What has just been committed, and how many milliseconds n8n takes until its next commit."""

    name: str
    wait_ms: int


class Life:
    """One execution. Iterate `steps()`: each iteration makes one commit. `now` tells n8n's clock."""

    def __init__(
        self,
        writer: Writer,
        planner: Planner,
        binaries: Binaries,
        scenario: Scenario,
        shot: Shot,
        now: Callable[[], datetime],
        random: Random,
    ) -> None:
        self.writer, self.planner, self.binaries = writer, planner, binaries
        self.scenario, self.shot, self.now, self.random = scenario, shot, now, random
        self.row = Row(binaries.workflow_id, scenario.mode, scenario.workflow)
        self.retry: Row | None = None
        self.old = writer.version.startswith("1.60")

    @property
    def execution_id(self) -> int:
        """n8n's id, 0 before the first step."""
        return self.row.execution_id

    def steps(self) -> Iterator[Step]:
        """Every commit of this life, to the last."""
        course = Course(webhook_item(self.scenario, self.shot, self._stored_parts()), [])
        token = f"{self.random.getrandbits(256):064x}"
        self.document = Document(self.writer.version, self.scenario.workflow, course, self.now(), token)
        yield from self._insert(self.row, self.document.received(), self.scenario.queued_ms or 10)
        yield from self._start(self.row)
        course.runs = self.planner.plan(self.scenario, self.shot, course.item, self.now(), self.execution_id).runs
        endings = {
            "ends": self._saving if self.scenario.saves_progress else self._end,
            "canceled": self._cancel_old if self.old else self._cancel,
            "crashed": self._crash,
            "stays_running": self._stay,
            "waits": self._wait,
            "deleted": self._delete,
            "retried": self._retry,
        }
        yield from endings[self.scenario.ending]()
        yield Step("ended", 0)

    def _stored_parts(self) -> Json:
        """The file parts of a multipart request, kept where the binary mode keeps them."""
        if self.scenario.body != "multipart":
            return {}
        parts = []
        # n8n drops a part without content.
        if self.scenario.image not in ("missing", "empty"):
            parts.append(("image", self.shot.image, "image/jpeg", self.shot.file_name))
        if self.scenario.metadata and self.scenario.image != "empty":
            content = self.shot.metadata_file()
            parts.append(("metadata", content, "application/json", "metadata.json"))
        stored = {name: self.binaries.store(content, kind, file) for name, content, kind, file in parts}
        self.row.binary_bytes = sum(each.size_outside for each in stored.values())
        return {name: each.prop for name, each in stored.items()}

    def _insert(self, row: Row, document: Json, wait_ms: int) -> Iterator[Step]:
        if self.old:
            with self.writer.transaction():
                self.writer.insert_entity(row, self.now())
            yield Step("row inserted", 29)
            with self.writer.transaction():
                self.writer.insert_data(row, document)
        else:
            with self.writer.transaction():
                self.writer.insert_entity(row, self.now())
                self.writer.insert_data(row, document)
        yield Step("inserted", wait_ms)

    def _start(self, row: Row) -> Iterator[Step]:
        start: Json = {} if self.old else {"startedAt": self.now()}
        with self.writer.transaction():
            self.writer.update_entity(row, status="running", **start)
        if self.old:
            return
        yield Step("running", 9)
        again: Json = {"startedAt": self.now()} if self.writer.version.startswith("1.") else {"status": "running"}
        with self.writer.transaction():
            self.writer.update_entity(row, **again)

    def _save(
        self, name: str, document: Json, form: str | None = "full", row: Row | None = None, **columns: Any
    ) -> Iterator[Step]:
        """Row and data together; 1.60.1 commits the row first and the data 34 ms later."""
        row = row or self.row
        form = None if self.writer.version.startswith("2.") else form
        if self.old:
            with self.writer.transaction():
                self.writer.update_entity(row, **columns)
            yield Step(f"{name}, without data", 34)
            with self.writer.transaction():
                self.writer.update_data(row, document, form)
            return
        with self.writer.transaction():
            self.writer.update_entity(row, **columns)
            self.writer.update_data(row, document, form)

    def _end(self) -> Iterator[Step]:
        yield Step("started", self._running_ms(0))
        yield from self._finish()

    def _finish(self, row: Row | None = None, form: str | None = "full") -> Iterator[Step]:
        self._settle()
        failed = self.document.course.error is not None
        status = "error" if failed else "success"
        columns = {"finished": not failed, "status": status, "stoppedAt": self.now()}
        yield from self._save(status, self.document.ended(), form, row, **columns)

    def _saving(self) -> Iterator[Step]:
        runs = self.document.course.runs
        for count in range(1, len(runs) + 1):
            yield Step("saved" if count > 1 else "started", runs[count - 1].took_ms + 20)
            yield from self._save("saved", self.document.saved_after(count), None, status="running")
        yield Step("saved", 5)
        yield from self._finish()

    def _stay(self) -> Iterator[Step]:
        yield Step("started", 0)

    def _delete(self) -> Iterator[Step]:
        yield Step("started", self._running_ms(0))
        with self.writer.transaction():
            self.writer.delete(self.row)

    def _cancel(self) -> Iterator[Step]:
        done = self._until_vision()
        yield Step("started", self._running_ms(0, done) + 3000)
        error = canceled_error(self.writer.version, self.execution_id, self.now())
        self._settle(rewrite=False)
        if self.writer.version.startswith("1."):
            yield from self._save("canceled", self._partial(done, error), status="canceled", stoppedAt=self.now())
            yield Step("canceled", 5)
        yield from self._save(
            "canceled", self.document.stopped(error), "short", status="canceled", stoppedAt=self.now()
        )

    def _cancel_old(self) -> Iterator[Step]:
        """1.60.1: nine seconds after `canceled` it becomes `error`, and the data shrinks to almost nothing."""
        done, row, writer = self._until_vision(), self.row, self.writer
        yield Step("started", self._running_ms(0, done) + 3000)
        error, lost = canceled_error(writer.version, self.execution_id, self.now()), lost_error(self.execution_id)
        stopped, partial = self.document.stopped(error), self._partial(done, error)
        recovered = self.document.lost_and_recovered(lost, done)
        commits: list[tuple[int, Callable[[], None]]] = [
            (3, lambda: writer.update_entity(row, status="canceled", stoppedAt=self.now())),
            (26, lambda: writer.update_entity(row, stoppedAt=self.now() - timedelta(milliseconds=40))),
            (10, lambda: writer.update_data(row, stopped)),
            (9098, lambda: writer.update_data(row, partial, "full")),
            (41, lambda: writer.update_entity(row, stoppedAt=self.now())),
            (49, lambda: writer.update_data(row, self._partial(done + 1, error))),
            (9, lambda: writer.update_entity(row, status="error", stoppedAt=self.now())),
            (44554, lambda: writer.update_data(row, self.document.lost(lost))),
            (31, lambda: writer.update_entity(row, stoppedAt=self.now() - timedelta(seconds=44))),
            (32, lambda: writer.update_data(row, recovered)),
            (6, lambda: writer.update_entity(row, status="error")),
            (0, lambda: writer.update_data(row, recovered)),
        ]
        for wait_ms, commit in commits:
            with writer.transaction():
                commit()
            yield Step("canceled", wait_ms)

    def _crash(self) -> Iterator[Step]:
        done = self._until_vision()
        yield Step("started", self._running_ms(0, done) + 20_000)
        stopped = self.now() - timedelta(seconds=20)
        document = self.document.crashed(done, self.now())
        yield from self._save("crashed", document, None, status="crashed", stoppedAt=stopped)
        yield Step("crashed", 7)
        yield from self._save("crashed", document, "recovered", status="crashed", stoppedAt=stopped)

    def _wait(self) -> Iterator[Step]:
        yield Step("started", 13)
        waiting = self.document.waiting()
        yield from self._save("waiting", waiting, status="waiting", stoppedAt=self.now(), waitTill=NEVER)
        yield Step("waiting", 1460)
        yield from self._save("resumed", self.document.resumed(), None, status="running", waitTill=None)
        yield Step("resumed", 15)
        with self.writer.transaction():
            self.writer.update_entity(self.row, startedAt=self.now())
        self._replan()
        yield Step("resumed", self._running_ms(1))
        yield from self._finish(form=None)

    def _retry(self) -> Iterator[Step]:
        yield from self._end()
        yield Step("failed", 600)
        retry = replace(self.row, mode="retry", retry_of=self.execution_id, execution_id=0)
        yield from self._insert(retry, self.document.retried(), 10)
        self.retry = retry
        yield from self._start(retry)
        self.scenario = replace(self.scenario, fails="")
        failed_at = len(self.document.course.runs) - 1
        self._replan(keep=failed_at, execution_id=retry.execution_id)
        yield Step("retried", self._running_ms(failed_at))
        yield from self._finish(retry)
        yield Step("retry ended", 5)
        with self.writer.transaction():
            self.writer.update_entity(self.row, retrySuccessId=str(retry.execution_id))

    def _replan(self, keep: int = 1, execution_id: int = 0) -> None:
        """Plan again from the run at `keep` on, which starts now; what ran before stays."""
        course, now = self.document.course, self.now()
        again = self.planner.plan(self.scenario, self.shot, course.item, now, execution_id or self.execution_id).runs
        late = again[keep].started_at or now
        for run in again[keep:]:
            run.started_at = now + ((run.started_at or now) - late)
        course.runs = course.runs[:keep] + again[keep:]

    def _partial(self, done: int, error: Json) -> Json:
        document = self.document.saved_after(done)
        document["resultData"] = {"error": error} | document["resultData"]
        return document

    def _until_vision(self) -> int:
        """How many workflow nodes end before the vision model's starts."""
        return next(index for index, run in enumerate(self.document.course.runs) if run.node == "Ollama")

    def _running_ms(self, first: int, last: int | None = None) -> int:
        return sum(run.took_ms + 1 for run in self.document.course.runs[first:last]) + 2

    def _settle(self, *, rewrite: bool = True) -> None:
        self.binaries.settle(self.execution_id, self.document.course.item.get("binary", {}), rewrite=rewrite)
