"""The importable workflow: its Code node, run by Node.js on recorded items, states the structured contract."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from executions.n8n.flatted import decode, encode
from executions.n8n.payload import NodeNames, contract, read_outcome
from executions.tests.expected_samples import EXPECTED
from executions.tests.samples import Sample, all_samples, sample

WORKFLOW: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "n8n-workflow-format-sai-output.json").read_text("utf-8")
)
NODES = {node["name"]: node for node in WORKFLOW["nodes"]}
# What n8n gives to a Code node: `$(name).first()` throws for a node that did not run, and `$execution`.
HARNESS = """
const { code, runData, id } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const $ = (name) => ({ first: () => {
  if (!runData[name]) throw new Error(`Node '${name}' hasn't been executed`);
  return runData[name][0].data.main.flat()[0];
} });
process.stdout.write(JSON.stringify(new Function('$', '$execution', code)($, { id })));
"""
# Executions of the multipart workflow that came to its end.
COMPLETE = [one for one in all_samples() if one.document.get("resultData", "runData", "Merge") is not None]
needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="Node.js is not installed; the Code node's JavaScript cannot be run."
)


def formatted(one: Sample, **results: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Code node's item for a recorded execution, and the execution's data with that node's run in it."""
    data = one.document.resolve(one.document.root)
    run_data = data["resultData"]["runData"]
    run_data |= results
    asked = {"code": NODES["Format SAI Output"]["parameters"]["jsCode"], "runData": run_data, "id": "7"}
    done = subprocess.run(
        ["node", "-e", HARNESS], input=json.dumps(asked), capture_output=True, text=True, timeout=30, check=True
    )
    (item,) = json.loads(done.stdout)
    run_data["Format SAI Output"] = [{"executionStatus": "success", "data": {"main": [[item]]}}]
    return item, data


def test_every_connection_leads_to_a_node() -> None:
    targets = [target["node"] for ways in WORKFLOW["connections"].values() for way in ways["main"] for target in way]
    assert set(targets) | set(WORKFLOW["connections"]) <= set(NODES)
    assert targets.count("Format SAI Output") == 2


def test_the_workflow_names_its_nodes_as_the_defaults_expect() -> None:
    names = NodeNames()
    for role in (names.webhook, names.metadata, names.detector, names.vision, names.telegram, names.output):
        assert role[0] in NODES


def test_the_workflow_holds_no_credentials() -> None:
    assert all("credentials" not in node for node in NODES.values())


@needs_node
@pytest.mark.parametrize("one", COMPLETE, ids=str)
def test_recorded_executions_comply_and_give_the_same_facts(one: Sample) -> None:
    item, data = formatted(one)
    assert contract.errors(item["json"]) == ()
    expected = EXPECTED[one.version][one.execution_id]
    outcome = read_outcome(decode(encode(data)), NodeNames(), one.workflow, status="success", image_size=None)
    assert outcome.contract == "structured"
    assert outcome.inference is not None and outcome.inference.detections is not None
    found = [(box.class_name, box.confidence, box.bbox) for box in outcome.inference.detections]
    assert (found, outcome.inference.risk_level) == (list(expected.boxes or ()), expected.risk)
    told = outcome.notification and (outcome.notification.message_id or outcome.notification.error)
    assert told == expected.telegram
    assert (item["json"]["camera"]["device_id"], item["json"]["camera"]["id"]) == expected.camera


@needs_node
def test_what_is_not_known_is_left_out() -> None:
    item, _ = formatted(sample("1.123.5", 21))  # The detector failed; no later node ran.
    assert item["json"]["analysis"] == {}
    assert "notifications" not in item["json"]
    assert contract.errors(item["json"]) == ("analysis breaks the rule 'minProperties' of the schema.",)


@needs_node
@pytest.mark.parametrize(
    "response, level",
    [
        ("Risk level: HIGH. Confidence: 0.82", "high"),
        ('```json\n{"risk_level": "low", "smoke": true}\n```', "low"),
        ('{"risk_level": "medium", "confid', "medium"),
        ("No smoke visible, high risk of nothing", None),
        ("Risk level: low/medium", None),
        ("Risk level: low. Risk level: high.", None),
    ],
)
def test_the_risk_level_is_read_as_the_dashboard_itself_reads_it(response: str, level: str | None) -> None:
    answer = {"model": "qwen", "response": response, "done": True}
    vision = [{"data": {"main": [[{"json": answer}]]}}]
    item, data = formatted(sample("1.123.5", 17), Ollama=vision)
    assert item["json"]["analysis"].get("risk_level") == level
    del data["resultData"]["runData"]["Format SAI Output"]
    outcome = read_outcome(decode(encode(data)), NodeNames(), None, status="success", image_size=None)
    assert outcome.inference is not None and outcome.inference.risk_level == level


@needs_node
def test_the_size_of_an_image_in_memory_is_counted_exactly() -> None:
    item, _ = formatted(sample("1.123.5", 16))
    assert item["json"]["image"] == {
        "binary": "image",
        "format": "jpeg",
        "size_bytes": 120178,
        "width": 1280,
        "height": 720,
    }
