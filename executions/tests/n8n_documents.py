"""Small execution data for tests, shaped as n8n writes it."""

from typing import Any

from executions.n8n.flatted import Document, decode, encode


def item(json: Any, **others: Any) -> dict[str, Any]:
    """One item of a workflow node."""
    return {"json": json, **others}


def run(*items: dict[str, Any], **others: Any) -> dict[str, Any]:
    """One run of a workflow node that succeeded with these items on its first output."""
    return {"startTime": 1795410321493, "executionStatus": "success", "data": {"main": [list(items)]}, **others}


def failed_run(message: str, description: str | None = None) -> dict[str, Any]:
    """One run that stopped the workflow. n8n repeats the request, image and all, in the error."""
    request = {"body": {"image": "/9j/secret"}, "headers": {"authorization": "Bearer stub"}}
    error = {"message": message, "description": description, "context": {"request": request}}
    return {"startTime": 1795410321493, "executionStatus": "error", "error": error}


def webhook_item(body: Any, **binary: dict[str, Any]) -> dict[str, Any]:
    headers = {"authorization": "Bearer stub"}
    parts = {"binary": binary} if binary else {}
    return item({"headers": headers, "params": {}, "query": {}, "body": body, "webhookUrl": "http://n8n"}, **parts)


def waiting(received: dict[str, Any], name: str = "Webhook", kind: str = "n8n-nodes-base.webhook") -> dict[str, Any]:
    """An entry of the stack: a node about to run with this item."""
    return {"node": {"name": name, "type": kind}, "data": {"main": [[received]]}}


def created(received: dict[str, Any], **node: str) -> Document:
    """The data of an execution that has just been created."""
    stack = {"nodeExecutionStack": [waiting(received, **node)]}
    return decode(encode({"startData": {}, "resultData": {"runData": {}}, "executionData": stack}))


def ended(run_data: dict[str, list[dict[str, Any]]], error: Any = None, stack: Any = ()) -> Document:
    """The data of an execution that has run these workflow nodes."""
    result = {"runData": run_data, "lastNodeExecuted": next(reversed(run_data), "Webhook")}
    if error is not None:
        result["error"] = error
    return decode(encode({"resultData": result, "executionData": {"nodeExecutionStack": list(stack)}}))


def workflow(**types: str) -> dict[str, Any]:
    """A workflow whose nodes have these types: `workflow(Alarm="n8n-nodes-base.telegram")`."""
    return {"nodes": [{"name": name, "type": kind} for name, kind in types.items()]}
