"""The workflows that the simulator pretends to run, as n8n stores them. `workflows.json` holds their nodes."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]

# Parameters that the editor adds, by node type: versions that lack them.
_LATER = {"preBuiltAgentsCalloutHttpRequest": ("1.60", "2."), "contentTypeNotice": ("1.60",)}
CREATED_AT, UPDATED_AT = "2026-02-11T14:03:47.363Z", "2026-02-19T09:12:43.987Z"
VERSION_ID = "dc6bc6bd-722b-428f-b24f-293af493e08a"
OUTPUT_NODE: Json = {
    "parameters": {"jsCode": "// See docs/n8n-workflow-format-sai-output.json."},
    "type": "n8n-nodes-base.code",
    "typeVersion": 2,
    "position": [1540, 0],
    "id": "0d5f2f0e-6a0c-5a2e-9d0b-5c3f6a1b7e21",
    "name": "Format SAI Output",
}
MARKER = {"simulatedBy": "sai-dashboard"}


@cache
def _stored() -> Json:
    loaded: Json = json.loads(Path(__file__).with_name("workflows.json").read_text("utf-8"))
    return loaded | {"structured": _structured(loaded["multipart"])}


def _structured(multipart: Json) -> Json:
    """The same workflow with a "Format SAI Output" node after both of its ends."""
    to_output = {"main": [[{"node": OUTPUT_NODE["name"], "type": "main", "index": 0}]]}
    connections = multipart["connections"] | {"Telegram": to_output, "No alert": to_output}
    return multipart | {"nodes": [*multipart["nodes"], OUTPUT_NODE], "connections": connections}


@cache
def content(version: str, name: str) -> Json:
    """Name, nodes, connections and settings of a workflow as n8n `version` has them. Do not change it.

    `name` is json, multipart, wait or structured.
    """
    workflow: Json = deepcopy(_stored()[name])
    for each in workflow["nodes"]:
        for parameter, lacking in _LATER.items():
            if version.startswith(lacking):
                each["parameters"].pop(parameter, None)
    return workflow


def node(version: str, workflow: str, name: str) -> Json:
    """One workflow node, as errors and the execution stack repeat it."""
    return next(each for each in content(version, workflow)["nodes"] if each["name"] == name)


def address(name: str) -> str:
    """The address that a workflow node calls."""
    for workflow in _stored().values():
        for each in workflow["nodes"]:
            if each["name"] == name and "url" in each["parameters"]:
                url: str = each["parameters"]["url"]
                return url
    return "https://api.telegram.org/bot<token>/sendMessage"


@cache
def data(version: str, name: str, workflow_id: str, form: str) -> str:
    """The text of `workflowData`: in `form` "short" as at INSERT and after a crash, in "full" as after an end."""
    workflow = content(version, name)
    title, inner = {"name": workflow["name"]}, {key: workflow[key] for key in ("nodes", "connections", "settings")}
    if version.startswith("2."):
        return dumps({"id": workflow_id} | title | inner | {"nodeGroups": []})
    if form == "recovered":
        return dumps({"id": workflow_id} | title | inner)
    if form == "short":
        return dumps(
            {key: inner[key] for key in ("connections", "nodes")}
            | title
            | {"settings": inner["settings"], "id": workflow_id}
        )
    head: Json = {"id": workflow_id} | title | {"active": True}
    if not version.startswith("1.60"):
        head |= {"activeVersionId": VERSION_ID, "isArchived": False}
    return dumps(head | {"createdAt": CREATED_AT, "updatedAt": UPDATED_AT} | inner | {"staticData": {}, "pinData": {}})


def dumps(value: Any) -> str:
    """JSON as JavaScript writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
