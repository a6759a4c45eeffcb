"""What an execution ended with. A model that failed is never a model that found nothing."""

from typing import Any

import pytest

from executions.n8n.payload import NodeNames, Outcome, read_outcome
from executions.tests.n8n_documents import created, ended, failed_run, item, run, waiting, webhook_item, workflow

WEBHOOK = [run(webhook_item({}))]
NOTHING_FOUND = {"detections": [], "has_fire": False, "has_smoke": False, "version": "v1"}
SMOKE = {"class_name": "smoke", "confidence": 0.7, "bbox": {"x1": 1, "y1": 1, "x2": 5, "y2": 5}}
FOUND = NOTHING_FOUND | {"detections": [SMOKE], "has_smoke": True, "image_size": {"width": 10, "height": 10}}
SAID = {"model": "qwen", "response": '{"smoke": false, "risk_level": "low"}', "done": True, "total_duration": 2_000_000}
HTTP = "n8n-nodes-base.httpRequest"


def outcome(
    results: dict[str, Any], error: Any = None, stack: Any = (), status: str = "success", types: Any = None
) -> Outcome:
    document = ended({"Webhook": WEBHOOK, **results}, error, stack)
    return read_outcome(document, NodeNames(), types, status=status, image_size=None)


def test_an_execution_in_which_no_model_ran_has_no_result() -> None:
    found = outcome({})
    assert (found.inference, found.notification, found.contract) == (None, None, None)
    assert found.notes.keys() == {"detector", "vision"}


@pytest.mark.parametrize(
    "failure",
    [
        [failed_run("CUDA out of memory")],
        [run(item({"error": "CUDA out of memory"}))],
        [run(item({}, error={"message": "CUDA out of memory"}))],
        [run(item({"error": {"message": "CUDA out of memory"}}))],
    ],
)
def test_a_detector_that_failed_is_not_one_that_found_nothing(failure: Any) -> None:
    found = outcome({"YOLO": failure})
    assert found.inference is None
    assert found.notes["detector"] == "YOLO failed: CUDA out of memory"


@pytest.mark.parametrize("answer", [run(), run(item({})), run(item("text")), run(item({"status": "ok"})), {"data": 7}])
def test_a_detector_that_answered_nonsense_is_not_one_that_found_nothing(answer: Any) -> None:
    found = outcome({"YOLO": [answer]})
    assert found.inference is None
    assert "no answer that could be read" in found.notes["detector"]


def test_an_answer_that_n8n_lost_in_a_crash_is_not_one_that_found_nothing() -> None:
    recovered = [run(item({"isArtificialRecoveredEventItem": True}))]
    found = outcome({"YOLO": recovered, "Ollama": recovered})
    assert (found.inference, found.contract) == (None, None)
    assert "crashed and lost the answer of YOLO" in found.notes["detector"]


def test_the_request_in_an_error_is_never_read() -> None:
    error = failed_run("Bad gateway", "at 10:00")["error"] | {"node": {"name": "YOLO"}}
    found = outcome({"YOLO": [failed_run("Bad gateway", "at 10:00")]}, error, status="error")
    assert found.workflow_error == ("YOLO", "Bad gateway: at 10:00")
    assert "secret" not in repr(found) and "Bearer" not in repr(found)


@pytest.mark.parametrize(
    "error, message", [("boom", "boom"), ({}, None), ([], None), (7, "unknown error"), ({"x": 1}, "unknown error")]
)
def test_any_error_has_a_message(error: Any, message: str | None) -> None:
    found = outcome({}, error, status="error")
    assert found.workflow_error == (None if message is None else ("Webhook", message))


def test_both_models_make_one_result() -> None:
    found = outcome({"YOLO": [run(item(FOUND))], "Ollama": [run(item(SAID))]})
    assert (found.contract, set(found.notes)) == ("by_name", {"flags"})
    assert found.inference is not None
    assert (found.inference.model_name, found.inference.model_version) == ("qwen", "v1")
    assert (found.inference.risk_level, found.inference.confidence_score) == ("low", 0.7)
    assert found.inference.flags == {"smoke": True, "fire": False}
    assert found.inference.model_outputs is not None
    assert found.inference.model_outputs.keys() == {"detector", "vision"}


def test_the_vision_model_alone_makes_a_result_without_detections() -> None:
    found = outcome({"YOLO": [failed_run("down")], "Ollama": [run(item(SAID))]})
    assert found.inference is not None
    assert (found.inference.detections, found.inference.confidence_score) == (None, None)
    assert (found.inference.flags, found.inference.processing_time_ms) == ({"smoke": False}, 2.0)
    assert "vision model's" in found.notes["processing_time_ms"]


def test_the_first_configured_name_wins() -> None:
    found = outcome({"YOLO": [run(item(NOTHING_FOUND))], "YOLO Inference": [run(item(FOUND))]})
    assert found.inference is not None and found.inference.confidence_score == 0.7


def test_the_last_run_with_an_answer_wins() -> None:
    found = outcome({"YOLO": [run(item(NOTHING_FOUND)), run(item(FOUND)), run()]})
    assert found.inference is not None and found.inference.confidence_score == 0.7


def test_nodes_of_other_names_are_known_by_their_type_and_their_answer() -> None:
    types = workflow(Webhook="n8n-nodes-base.webhook", Look=HTTP, Think=HTTP, Alarm="n8n-nodes-base.telegram")
    results = {
        "Think": [run(item(SAID))],
        "Look": [run(item(FOUND))],
        "Alarm": [run(item({"ok": True, "result": {"message_id": 7}}))],
    }
    found = outcome(results, types=types)
    assert found.contract == "by_type"
    assert found.inference is not None and found.notification is not None
    assert (found.inference.confidence_score, found.inference.model_name) == (0.7, "qwen")
    assert found.notification.message_id == 7
    assert outcome(results).contract is None


def test_a_node_of_another_type_is_not_taken_for_a_model() -> None:
    found = outcome({"Merge": [run(item(FOUND | SAID))]}, types=workflow(Merge="n8n-nodes-base.merge"))
    assert found.inference is None


@pytest.mark.parametrize("types", [{}, {"nodes": None}, {"nodes": [7, {}, {"name": 7, "type": "x"}, {"name": "YOLO"}]}])
def test_a_workflow_that_makes_no_sense_is_as_good_as_none(types: Any) -> None:
    assert outcome({"YOLO": [run(item(FOUND))]}, types=types).contract == "by_name"


@pytest.mark.parametrize("status", ["new", "running", "waiting", "unknown", "paused"])
def test_what_has_not_ended_is_never_final(status: str) -> None:
    assert not outcome({"YOLO": [run(item(FOUND))]}, {"message": "x"}, status=status).is_final


def test_success_is_final_when_the_stack_is_empty_and_a_node_was_the_last() -> None:
    assert outcome({"YOLO": [run(item(FOUND))]}).is_final
    # As saved after every node, when the workflow is set so.
    assert not outcome({"YOLO": [run(item(FOUND))]}, stack=[waiting(item({}), "Ollama", HTTP)]).is_final
    first = created(webhook_item({}))
    assert not read_outcome(first, NodeNames(), None, status="success", image_size=None).is_final


@pytest.mark.parametrize("status", ["error", "crashed", "canceled"])
def test_failure_is_final_when_it_says_why(status: str) -> None:
    stack = [waiting(item({}), "Ollama", HTTP)]
    assert outcome({}, {"message": "x"}, stack, status).is_final
    assert not outcome({}, None, stack, status).is_final
