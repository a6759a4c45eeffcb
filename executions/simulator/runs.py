"""Which workflow nodes run in an execution, in which order, and what each gives: the course of one execution."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from executions.simulator.errors import node_error
from executions.simulator.fleet import Shot
from executions.simulator.scenarios import Scenario
from executions.simulator.services import (
    Json,
    alert_level,
    detector_answer,
    of_generation,
    telegram_answer,
    vision_answer,
)
from executions.simulator.structured import structured_output

Source = tuple[str, int]
CAMERA_TOKEN = "Bearer simulated-camera-token"
HOOKS = {"json": "sai-json", "wait": "sai-json", "multipart": "e861ad7c-8160-4964-8953-5e3a02657293"}
CONTENT_TYPES = {
    "json": "application/json",
    "wait": "application/json",
    "multipart": "multipart/form-data; boundary=7101834e1122f6f884bf2185d71ae573",
}
FOOTER = (
    "\n\n_This message was sent automatically with _[n8n](https://n8n.io/?utm_source=n8n-internal"
    "&utm_medium=powered_by&utm_campaign=n8n-nodes-base.telegram)"
)


@dataclass(slots=True)
class NodeRun:
    """One run of one workflow node: its outputs (lists of items), or the error that ended the execution."""

    node: str
    sources: list[Source]
    took_ms: int
    outputs: list[list[Json]] = field(default_factory=list)
    error: Json | None = None
    started_at: datetime | None = None


@dataclass(slots=True)
class Course:
    """All that one execution will do: the webhook's item, then each workflow node's run."""

    item: Json
    runs: list[NodeRun]

    @property
    def error(self) -> Json | None:
        return self.runs[-1].error if self.runs else None

    def between(self, first: int, last: int) -> timedelta:
        """How long the runs from `first` up to and without `last` take."""
        return timedelta(milliseconds=sum(run.took_ms for run in self.runs[first:last]))


class Planner:
    """Plans the course of an execution. `version` is n8n's; every chance comes from `random`."""

    def __init__(self, version: str, random: Random) -> None:
        self.version, self.random, self.message_id = version, random, 1000

    def plan(self, scenario: Scenario, shot: Shot, item: Json, at: datetime, execution_id: int) -> Course:
        """The course of an execution whose first workflow node starts at `at` with the webhook's item."""
        draft = _Draft(self, scenario, shot, item, at, execution_id)
        return Course(item, list(draft.timed()))


class _Draft:
    def __init__(
        self, planner: Planner, scenario: Scenario, shot: Shot, item: Json, at: datetime, execution_id: int
    ) -> None:
        self.planner, self.scenario, self.shot, self.at = planner, scenario, shot, at
        self.item, self.execution_id = item, execution_id
        self.metadata = shot.metadata()
        self.answers: dict[str, Json] = {}

    def timed(self) -> Iterator[NodeRun]:
        for run in self.course():
            run.started_at = self.at
            yield run
            self.at += timedelta(milliseconds=run.took_ms + 1)

    def course(self) -> Iterator[NodeRun]:
        yield NodeRun("Webhook", [], self.took(0, 2), [[paired(self.item)]])
        if self.scenario.body == "multipart":
            yield from self.multipart()
        elif self.scenario.body == "wait":
            yield from self.wait()
        else:
            yield from self.json()

    def json(self) -> Iterator[NodeRun]:
        yield (detector := self.detector("YOLO", "Webhook"))
        if detector.error:
            return
        yield (vision := self.vision("YOLO"))
        if not vision.error:
            yield from self.decision("Ollama", vision.outputs[0][0]["json"], {})

    def multipart(self) -> Iterator[NodeRun]:
        binary = self.item.get("binary", {})
        if "metadata" not in binary:
            yield NodeRun("Metadata", [("Webhook", 0)], self.took(0, 2), [[]])
            return
        item: Json = {"json": {"metadata": self.metadata}, "pairedItem": {"item": 0}, "binary": binary}
        yield NodeRun("Metadata", [("Webhook", 0)], self.took(1, 10), [[item]])
        yield (detector := self.detector("YOLO Inference", "Metadata"))
        if detector.error:
            return
        yield (vision := self.vision("YOLO Inference"))
        if vision.error:
            return
        merged = {"metadata": self.metadata} | vision.outputs[0][0]["json"]
        pairs = [{"item": 0}, {"item": 0, "input": 1}, {"item": 0, "input": 1}]
        both: list[Source] = [("Metadata", 0), ("Ollama", 0)]
        yield NodeRun("Merge", both, self.took(1, 40), [[{"json": merged, "binary": binary, "pairedItem": pairs}]])
        yield from self.decision("Merge", merged, {"binary": binary})

    def wait(self) -> Iterator[NodeRun]:
        camera_only = ("authorization", "content-type", "content-length")
        received = self.item["json"]
        headers = {name: value for name, value in received["headers"].items() if name not in camera_only}
        resumed = {"json": received | {"headers": headers, "body": {}}, "pairedItem": {"item": 0}}
        yield NodeRun("Wait", [("Webhook", 0)], 0, [[resumed]])
        yield self.detector("YOLO", "Wait")

    def detector(self, node: str, source: str) -> NodeRun:
        scenario = self.scenario
        if scenario.fails.startswith("detector"):
            took = 5011 if scenario.fails == "detector_timeout" else self.took(5, 130)
            error = node_error(self.planner.version, scenario, node, self.detector_request(), self.later(took))
            return NodeRun(node, [(source, 0)], took, error=error)
        took = self.took(60, 220)
        # In production the detector sees a smaller frame than the camera sent.
        size = (768, 432) if scenario.body == "multipart" else self.shot.size
        answer = detector_answer(scenario.boxes, self.shot.image, size, self.later(took), self.planner.random)
        answer = of_generation(answer, scenario.detector, self.shot.camera.key)
        self.answers["detector"] = answer
        return NodeRun(node, [(source, 0)], took, [[{"json": answer, "pairedItem": {"item": 0}}]])

    def vision(self, source: str) -> NodeRun:
        if self.scenario.fails == "vision_500":
            took = self.took(10, 40)
            error = node_error(self.planner.version, self.scenario, "Ollama", self.vision_request(), self.later(took))
            return NodeRun("Ollama", [(source, 0)], took, error=error)
        took = int(self.scenario.vision_ms * self.planner.random.uniform(0.9, 1.1))
        answer = vision_answer(self.scenario.vision, self.later(took))
        self.answers["vision"] = answer
        return NodeRun("Ollama", [(source, 0)], took, [[{"json": answer, "pairedItem": {"item": 0}}]])

    def decision(self, source: str, content: Json, binary: Json) -> Iterator[NodeRun]:
        item = {"json": content} | binary | {"pairedItem": {"item": 0}}
        level = alert_level(self.scenario.boxes)
        branches: list[list[Json]] = [[item], []] if level != "none" else [[], [item]]
        yield NodeRun("If risk", [(source, 0)], self.took(1, 30), branches)
        if level == "none":
            last = NodeRun("No alert", [("If risk", 1)], self.took(0, 2), [[item]])
        else:
            last = self.telegram(item, level)
        yield last
        if self.scenario.structured and not last.error:
            yield self.output(last)

    def telegram(self, item: Json, level: str) -> NodeRun:
        took, scenario = self.took(10, 250), self.scenario
        at, sources = self.later(took), [("If risk", 0)]
        if scenario.fails == "telegram_400":
            error = node_error(self.planner.version, scenario, "Telegram", self.words(level), at)
            return NodeRun("Telegram", sources, took, error=error)
        return NodeRun("Telegram", sources, took, [[self.delivery(level, at)]])

    def delivery(self, level: str, at: datetime) -> Json:
        scenario = self.scenario
        if scenario.telegram_error and self.planner.version.startswith("1.60"):
            return {"json": {}, "error": "Bad request - please check your parameters", "pairedItem": {"item": 0}}
        if scenario.telegram_error:
            return {"json": {"error": scenario.telegram_error}, "pairedItem": {"item": 0}}
        self.planner.message_id += 1
        return {"json": telegram_answer(self.planner.message_id, at, **self.words(level)), "pairedItem": {"item": 0}}

    def words(self, level: str) -> dict[str, str]:
        """The text of a Telegram message, or the caption of a photo."""
        camera = self.shot.camera.camera_id
        if self.scenario.body == "json":
            return {"text": f"Alerta SAI {camera}: {self.scenario.vision}{FOOTER}"}
        return {"caption": f"Alerta SAI {camera} {level}"}

    def detector_request(self) -> Json:
        """The body that goes to the detector: that of the camera's request, if it is JSON."""
        body = self.item["json"]["body"]
        return body if isinstance(body, dict) else {}

    def vision_request(self) -> Json:
        """The body that goes to the vision model: the workflow for JSON bodies repeats the image."""
        prompt = "Analyze for fire or smoke. YOLO found: [...]"
        request: Json = {"model": "qwen2.5vl:7b", "stream": False, "prompt": prompt}
        image = self.detector_request().get("image")
        return request | ({"images": [image]} if image else {})

    def took(self, least: int, most: int) -> int:
        return self.planner.random.randint(least, most)

    def later(self, took_ms: int) -> datetime:
        return self.at + timedelta(milliseconds=took_ms)

    def output(self, last: NodeRun) -> NodeRun:
        """The structured contract's node, which has the last word."""
        told = last.outputs[0][0]["json"] if last.node == "Telegram" else None
        content = structured_output(self.scenario, self.shot, self.answers, told, self.execution_id)
        item = {"json": content, "binary": self.item.get("binary", {})}
        return NodeRun("Format SAI Output", [(last.node, 0)], self.took(1, 5), [[item]])


def paired(item: Json) -> Json:
    """An item as a node gives it on: with the number of the item it came from."""
    return item | {"pairedItem": {"item": 0}}


def webhook_item(scenario: Scenario, shot: Shot, binary: Json) -> Json:
    """The item that the webhook gives: the camera's request, and its file parts if any."""
    return {"json": request(scenario, shot, shot.metadata())} | ({"binary": binary} if binary else {})


def request(scenario: Scenario, shot: Shot, metadata: Json) -> Json:
    """The webhook item's `json`: headers, body and addresses of the camera's request."""
    body = _body(scenario, shot, metadata)
    headers = {
        "host": "127.0.0.1:5678",
        "user-agent": "python-requests/2.34.2",
        "accept-encoding": "gzip, deflate",
        "accept": "*/*",
        "connection": "keep-alive",
    }
    if scenario.image != "text":
        headers["authorization"] = CAMERA_TOKEN
    kind = "text/plain" if scenario.image == "text" else CONTENT_TYPES[scenario.body]
    headers |= {"content-length": str(len(shot.image) + 900), "content-type": kind}
    return {
        "headers": headers,
        "params": {},
        "query": {},
        "body": body,
        "webhookUrl": f"http://127.0.0.1:5678/webhook/{HOOKS[scenario.body]}",
        "executionMode": "production",
    }


def _body(scenario: Scenario, shot: Shot, metadata: Json) -> Any:
    if scenario.image == "text":
        return "just text"
    if scenario.body == "multipart" or scenario.image == "no_body":
        return {}
    if scenario.image == "flat":
        return shot.camera.flat() | {"image": _image_text(scenario, shot.image), "timestamp": shot.local_time}
    parts: Json = {} if scenario.image == "missing" else {"image": _image_text(scenario, shot.image)}
    return parts | ({"metadata": metadata} if scenario.metadata else {})


def _image_text(scenario: Scenario, image: bytes) -> str:
    if scenario.image == "broken_base64":
        return "!!!not-base64!!!" + "A" * 500
    prefix = "data:image/jpeg;base64," if scenario.image == "data_url" else ""
    return prefix + base64.b64encode(image).decode()
