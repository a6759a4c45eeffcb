"""How n8n records that a workflow node failed, and that an execution was stopped or crashed."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from executions.simulator import workflows
from executions.simulator.services import Json

if TYPE_CHECKING:
    from executions.simulator.scenarios import Scenario

NO_IMAGE = "Either image or image_url must be provided"
NOT_AN_IMAGE = "Failed to process image: cannot identify image file"
DETAILS = {
    "missing": NO_IMAGE,
    "no_body": NO_IMAGE,
    "text": NO_IMAGE,
    "broken_base64": "Invalid base64 image: Only base64 data is allowed",
    "not_an_image": NOT_AN_IMAGE,
    "corrupt": NOT_AN_IMAGE,
}
MESSAGES = {
    "500": "The service was not able to process your request",
    "400": "Bad request - please check your parameters",
    "ECONNABORTED": "The connection was aborted, perhaps the server is offline",
}
CUDA = "CUDA out of memory. Tried to allocate 20.00 MiB"
LLAMA = "llama runner process has terminated: exit status 2"
CHAT = "Bad Request: chat not found"
OUT_OF_MEMORY = "n8n may have run out of memory while running this execution."
DOCS = "<a href='https://docs.n8n.io/hosting/scaling/memory-errors/' target='_blank'>in the docs</a>"


def millis(at: datetime) -> int:
    """Milliseconds since 1970, as JavaScript counts time."""
    return int(at.timestamp() * 1000)


def node_error(version: str, scenario: "Scenario", node: str, sent: Any, at: datetime) -> Json:
    """The error of the node in which `scenario` fails; `sent` is the body of its request."""
    if scenario.body == "multipart" and scenario.image == "missing":
        return _no_binary_field(version, scenario, node, at)
    code, description, messages = _failure(scenario)
    error = _common(version, description, at)
    error["context"] = {"itemIndex": 0, "request": _request(version, scenario, node, sent)}
    error |= {
        "functionality": "regular",
        "name": "NodeApiError",
        "node": workflows.node(version, scenario.workflow, node),
    }
    message = MESSAGES[code]
    return error | {
        "messages": messages,
        "httpCode": code,
        "message": message,
        "stack": _stack("NodeApiError", message),
    }


def canceled_error(version: str, execution_id: int, at: datetime) -> Json:
    """What an execution holds that a user stopped."""
    message = "The execution was cancelled manually"
    error = _common(version, None, at, report=False)
    error |= {"extra": {"executionId": str(execution_id)}, "context": {}, "functionality": "regular"}
    error |= {"name": "ManualExecutionCancelledError", "message": message}
    if version.startswith("2."):
        error["reason"] = "manual"
    return error | {"stack": _stack("ManualExecutionCancelledError", message)}


def lost_error(execution_id: int) -> Json:
    """What 1.60.1 leaves of a canceled execution when its last workflow node ends at last."""
    message = "No active execution found"
    return {
        "level": "error",
        "tags": {},
        "extra": {"executionId": str(execution_id)},
        "message": message,
        "stack": _stack("Error", message),
    }


def node_crash(version: str, at: datetime) -> Json:
    """The error of the node in which n8n was killed."""
    error: Json = {
        "message": "Execution stopped at this node",
        "timestamp": millis(at),
        "name": "NodeCrashedError",
        "description": f"{OUT_OF_MEMORY} More context and tips on how to avoid this {DOCS}",
        "context": {},
    }
    causes: dict[str, Json] = {
        "1.60": {"level": "error", "tags": {}},
        "2.41": {"name": "Error", "message": "Node crashed, possible out-of-memory issue"},
    }
    cause = causes.get(version[:4])
    return error | ({"cause": cause} if cause else {})


def workflow_crash(at: datetime) -> Json:
    """The error of an execution that n8n found unfinished at its start."""
    return {
        "message": "Workflow did not finish, possible out-of-memory issue",
        "timestamp": millis(at),
        "name": "WorkflowCrashedError",
        "context": {},
    }


def _failure(scenario: "Scenario") -> tuple[str, str | None, list[str]]:
    """HTTP code, description and messages of the failing call."""
    if scenario.fails == "detector_timeout":
        return "ECONNABORTED", None, ["timeout of 5000ms exceeded", "timeout of 5000ms exceeded"]
    code, key, text = {
        "detector_500": ("500", "detail", CUDA),
        "detector_400": ("400", "detail", DETAILS.get(scenario.image, NO_IMAGE)),
        "vision_500": ("500", "error", LLAMA),
        "telegram_400": ("400", "description", CHAT),
    }[scenario.fails]
    return code, text, [f'{code} - "{{\\"{key}\\": \\"{text}\\"}}"']


def _common(version: str, description: str | None, at: datetime, report: bool = True) -> Json:
    error: Json = {"level": "warning"}
    if version.startswith("2."):
        error["shouldReport"] = report
    error["tags"] = {}
    if description:
        error["description"] = description
    return error | {"timestamp": millis(at)}


def _no_binary_field(version: str, scenario: "Scenario", node: str, at: datetime) -> Json:
    message = "The item has no binary field 'image' [item 0]"
    where = "Check that the parameter where you specified the input binary field name is correct"
    error = _common(version, f"{where}, and that it matches a field in the binary input", at)
    error |= {"context": {"itemIndex": 0}, "functionality": "regular", "name": "NodeOperationError"}
    error |= {"node": workflows.node(version, scenario.workflow, node), "messages": [], "message": message}
    return error | {"stack": _stack("NodeOperationError", message)}


def _request(version: str, scenario: "Scenario", node: str, sent: Any) -> Json:
    """The request that failed: n8n repeats it in the error, image and all."""
    accept = "application/json,text/html,application/xhtml+xml,application/xml,text/*;q=0.9, image/*;q=0.8, */*;q=0.7"
    headers, form = {"accept": accept}, scenario.body == "multipart" and node == "YOLO Inference"
    request: Json = {"headers": headers} if form else {"body": sent, "headers": headers}
    request |= {"method": "POST", "uri": workflows.address(node), "gzip": True, "rejectUnauthorized": True}
    request |= {"followRedirect": True, "resolveWithFullResponse": True, "followAllRedirects": True, "timeout": 5000}
    if version.startswith("2."):
        request["sendCredentialsOnCrossOriginRedirect"] = True
    if form:
        headers["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
        request |= {"formData": REPLACED if version.startswith("2.") else FORM_DATA, "timeout": 15000}
    return request | {"encoding": None, "json": False, "useStream": True}


def _stack(name: str, message: str) -> str:
    return (
        f"{name}: {message}\n"
        "    at ExecuteContext.execute (/n8n/nodes-base/nodes/HttpRequest/V3/HttpRequestV3.node.ts:859:16)\n"
        "    at processTicksAndRejections (node:internal/process/task_queues:95:5)\n"
        "    at WorkflowExecute.executeNode (/n8n/core/src/execution-engine/workflow-execute.ts:1045:8)"
    )


BOUNDARY = "--------------------------750604952343257079409800"
REPLACED = "Binary data got replaced with this text. Original was a stream."
FORM_DATA: Json = {
    "_overheadLength": 390,
    "_valueLength": 78264,
    "_valuesToMeasure": [],
    "writable": False,
    "readable": True,
    "dataSize": 0,
    "maxDataSize": 2097152,
    "pauseStreams": True,
    "_released": True,
    "_streams": [],
    "_currentStream": None,
    "_insideLoop": False,
    "_pendingNext": False,
    "_boundary": BOUNDARY,
    "_events": {},
    "_eventsCount": 3,
}
