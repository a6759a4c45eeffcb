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
MARKER = {"simulatedBy": "sai-dashboard"}


@cache
def _stored() -> Json:
    loaded: Json = json.loads(Path(__file__).with_name("workflows.json").read_text("utf-8"))
    return loaded


@cache
def content(version: str, body: str) -> Json:
    """Name, nodes, connections and settings of the workflow for `body`, as n8n `version` has them. Do not change it."""
    workflow: Json = deepcopy(_stored()[body])
    for each in workflow["nodes"]:
        for parameter, lacking in _LATER.items():
            if version.startswith(lacking):
                each["parameters"].pop(parameter, None)
    return workflow


def node(version: str, body: str, name: str) -> Json:
    """One workflow node, as errors and the execution stack repeat it."""
    return next(each for each in content(version, body)["nodes"] if each["name"] == name)


def address(name: str) -> str:
    """The address that a workflow node calls."""
    for workflow in _stored().values():
        for each in workflow["nodes"]:
            if each["name"] == name and "url" in each["parameters"]:
                url: str = each["parameters"]["url"]
                return url
    return "https://api.telegram.org/bot<token>/sendMessage"


@cache
def data(version: str, body: str, workflow_id: str, form: str) -> str:
    """The text of `workflowData`: in `form` "short" as at INSERT and after a crash, in "full" as after an end."""
    workflow = content(version, body)
    name, inner = {"name": workflow["name"]}, {key: workflow[key] for key in ("nodes", "connections", "settings")}
    if version.startswith("2."):
        return dumps({"id": workflow_id} | name | inner | {"nodeGroups": []})
    if form == "recovered":
        return dumps({"id": workflow_id} | name | inner)
    if form == "short":
        return dumps(
            {key: inner[key] for key in ("connections", "nodes")}
            | name
            | {"settings": inner["settings"], "id": workflow_id}
        )
    head: Json = {"id": workflow_id} | name | {"active": True}
    if not version.startswith("1.60"):
        head |= {"activeVersionId": VERSION_ID, "isArchived": False}
    return dumps(head | {"createdAt": CREATED_AT, "updatedAt": UPDATED_AT} | inner | {"staticData": {}, "pinData": {}})


def dumps(value: Any) -> str:
    """JSON as JavaScript writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
