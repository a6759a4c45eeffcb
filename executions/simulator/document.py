"""The execution data that n8n writes: what the webhook received, what ran, what is left to run."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from executions.simulator import workflows
from executions.simulator.errors import millis, node_crash, workflow_crash
from executions.simulator.runs import Course, NodeRun, Source
from executions.simulator.services import Json


class Document:
    """Builds the data of one execution at each moment that n8n saves it.

    `workflow` is the one that runs (see workflows.content), `started_at` when its webhook received the frame.
    """

    def __init__(self, version: str, workflow: str, course: Course, started_at: datetime, resume_token: str) -> None:
        self.version, self.workflow, self.course = version, workflow, course
        self.started_at, self.resume_token = started_at, resume_token

    def received(self) -> Json:
        """As first INSERTed: nothing ran yet, the webhook's item waits on the stack."""
        return self._whole({"runData": {}}, self._webhook_stack(), runtime=self.version.startswith("2."))

    def ended(self) -> Json:
        """After the last workflow node: the outputs of all, or the error of the last."""
        runs = self.course.runs
        result: Json = {"runData": self.run_data(runs), "lastNodeExecuted": runs[-1].node}
        if (error := self.course.error) is None:
            return self._whole(result, [])
        ordered = {"error": error} | result if not self.version.startswith("1.60") else result | {"error": error}
        item = self._input_of(len(runs) - 1)
        return self._whole(ordered, [self._on_stack(runs[-1], item)], waiting=self._merge_input(len(runs)))

    def saved_after(self, count: int) -> Json:
        """As saved after `count` workflow nodes, where progress is saved; the next one is on the stack."""
        runs = self.course.runs[:count]
        # Each node's output is a copy of its own here, so this text is longer than the final one.
        run_data = {node: deepcopy(held) for node, held in self.run_data(runs).items()}
        result = {"runData": run_data, "lastNodeExecuted": runs[-1].node}
        coming = self.course.runs[count : count + 1]
        stack = [self._on_stack(run, self._input_of(count)) for run in coming]
        return self._whole(result, stack, waiting=self._merge_input(count))

    def waiting(self, status: str = "waiting") -> Json:
        """While a Wait node waits: its own run is on the stack, with the webhook's item."""
        runs = self.course.runs[:1]
        stack = [self._on_stack(self.course.runs[1], runs[0].outputs[0][0])]
        wait = self._run(self.course.runs[1], 1) | {"executionStatus": status}
        run_data = self.run_data(runs) | {"Wait": [wait]}
        return self._whole({"runData": run_data, "lastNodeExecuted": "Wait"}, stack)

    def resumed(self) -> Json:
        """Just after a Wait node was woken, before the next one ran."""
        return self.waiting("running")

    def stopped(self, error: Json) -> Json:
        """A canceled execution: as received, and the reason."""
        return self._whole(
            {"error": error, "runData": {}}, self._webhook_stack(), runtime=self.version.startswith("2.")
        )

    def crashed(self, done: int, at: datetime) -> Json:
        """What n8n recovers after it was killed: that nodes ran, without their results."""
        runs = self.course.runs
        run_data = {run.node: [self._recovered(run, run.took_ms)] for run in runs[:done]}
        last = self._recovered(runs[done], 0)
        last["executionStatus"] = "crashed"
        del last["data"]
        run_data[runs[done].node] = [last | {"error": node_crash(self.version, at)}]
        result = {"runData": run_data, "lastNodeExecuted": runs[done].node, "error": workflow_crash(at)}
        return self._whole(result, self._webhook_stack(), runtime=self.version.startswith("2."))

    def lost(self, error: Json) -> Json:
        """All that 1.60.1 keeps of a canceled execution once its last node has ended."""
        return {"resultData": {"error": error, "runData": {}}}

    def lost_and_recovered(self, error: Json, done: int) -> Json:
        """The same after the next start of n8n: artificial items, no error of the node."""
        run_data = {run.node: [self._recovered(run, run.took_ms)] for run in self.course.runs[: done + 1]}
        result = {"error": error, "runData": run_data, "lastNodeExecuted": self.course.runs[done].node}
        return {"resultData": result}

    def retried(self) -> Json:
        """As INSERTed by a retry: what ran before the failure is there, the failed node is on the stack."""
        runs = self.course.runs
        result = {"runData": self.run_data(runs[:-1]) | {runs[-1].node: []}, "lastNodeExecuted": runs[-1].node}
        stack = [self._on_stack(runs[-1], self._input_of(len(runs) - 1))]
        return self._whole(result, stack, waiting=self._merge_input(len(runs)))

    def run_data(self, runs: Sequence[NodeRun]) -> Json:
        """The outputs by workflow node."""
        # A resumed execution counts from 0 again.
        first = 1 if self.workflow == "wait" else 0
        return {run.node: [self._run(run, max(0, index - first))] for index, run in enumerate(runs)}

    def _run(self, run: NodeRun, index: int) -> Json:
        assert run.started_at is not None
        status = "error" if run.error else "success"
        result: Json = {"error": run.error} if run.error else {"data": {"main": run.outputs}}
        start, took = {"startTime": millis(run.started_at)}, {"executionTime": run.took_ms}
        sources = {"source": [self._source(source) for source in run.sources]}
        if self.version.startswith("1.60"):
            return {"hints": []} | start | took | sources | {"executionStatus": status} | result
        head = start | {"executionIndex": index} | sources | {"hints": []}
        return head | took | {"executionStatus": status} | result

    def _recovered(self, run: NodeRun, took_ms: int) -> Json:
        assert run.started_at is not None
        # Here n8n counts in seconds.
        start: Json = {"startTime": int(run.started_at.timestamp())}
        index = {} if self.version.startswith("1.60") else {"executionIndex": 0}
        item = {"json": {"isArtificialRecoveredEventItem": True}}
        rest = {"executionTime": took_ms, "source": [None], "executionStatus": "success"}
        return start | index | rest | {"data": {"main": [[item]]}}

    def _source(self, source: Source) -> Json:
        node, output = source
        if self.version.startswith("2."):
            return {"previousNode": node, "previousNodeOutput": output, "previousNodeRun": 0}
        return {"previousNode": node} | ({"previousNodeOutput": output} if output else {})

    def _webhook_stack(self) -> list[Json]:
        node = workflows.node(self.version, self.workflow, "Webhook")
        return [{"node": node, "data": {"main": [[self.course.item]]}, "source": None}]

    def _on_stack(self, run: NodeRun, item: Any) -> Json:
        node = workflows.node(self.version, self.workflow, run.node)
        source = {"main": [self._source(source) for source in run.sources]}
        return {"node": node, "data": {"main": [[item]]}, "source": source}

    def _input_of(self, index: int) -> Any:
        """The item that the run at `index` worked on: what its source gave out."""
        node, output = self.course.runs[index].sources[0]
        before = next(run for run in self.course.runs if run.node == node)
        return before.outputs[output][0]

    def _merge_input(self, count: int) -> tuple[Json, Json]:
        """What the Merge node already has while its second input still runs: (inputs, their sources)."""
        done = [run.node for run in self.course.runs[:count]]
        if "Metadata" not in done or "Merge" in done or not self.course.runs[1].outputs[0]:
            return {}, {}
        item = self.course.runs[1].outputs[0][0]
        inputs = {"Merge": {"0": {"main": [[item], None]}}}
        return inputs, {"Merge": {"0": {"main": [self._source(("Metadata", 0)), None]}}}

    def _whole(
        self, result: Json, stack: list[Json], *, waiting: tuple[Json, Json] = ({}, {}), runtime: bool = True
    ) -> Json:
        inner: Json = {"contextData": {}, "nodeExecutionStack": stack}
        if self.version.startswith("1.60"):
            inner["waitingExecution"] = waiting[0]
            if "Merge" in result["runData"] or waiting[0]:
                inner["waitingExecutionSource"] = waiting[1]
            return {"startData": {}, "resultData": result, "executionData": inner}
        inner |= {"metadata": {}, "waitingExecution": waiting[0], "waitingExecutionSource": waiting[1]}
        if runtime:
            inner["runtimeData"] = self._runtime()
        whole = {"version": 1, "startData": {}, "resultData": result, "executionData": inner}
        return whole | ({"resumeToken": self.resume_token} if self.version.startswith("2.") else {})

    def _runtime(self) -> Json:
        runtime: Json = {"version": 1, "establishedAt": millis(self.started_at), "source": "webhook"}
        if self.version.startswith("2."):
            runtime["triggerNode"] = {"name": "Webhook", "type": "n8n-nodes-base.webhook"}
            runtime["redaction"] = {"version": 2, "production": False, "manual": False}
        return runtime
