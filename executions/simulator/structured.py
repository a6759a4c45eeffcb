"""What a "Format SAI Output" node states: the structured contract of docs/n8n-output-schema.json."""

from collections.abc import Mapping
from typing import Any

from executions.simulator.fleet import Shot
from executions.simulator.scenarios import Scenario
from executions.simulator.services import Json, alert_level


def structured_output(
    scenario: Scenario, shot: Shot, answers: Mapping[str, Json], told: Json | None, execution_id: int
) -> Json:
    """The contract's object for one frame, from the answers of detector, vision model and (`told`) Telegram."""
    detector, vision = answers["detector"], answers["vision"]
    width, height = shot.size
    output: Json = {
        "execution_id": execution_id,
        "timestamp": vision["created_at"],
        "camera": {"id": shot.camera.camera_id, "device_id": shot.camera.site.device_id},
        "image": {
            "binary": "image",
            "format": "jpeg",
            "size_bytes": len(shot.image),
            "width": width,
            "height": height,
        },
        "analysis": {
            "model": vision["model"],
            "model_version": detector["version"],
            "inference_timestamp": detector["timestamp"],
            "processing_time_ms": detector["processing_time_ms"],
            "risk_level": alert_level(scenario.boxes),
            "alert_level": detector["alert_level"],
            "image_size": detector["image_size"],
            "detections": [_box(found) for found in detector["detections"]],
            "raw_response": vision["response"],
        },
    }
    if scenario.boxes:
        output["analysis"]["confidence"] = max(box.confidence for box in scenario.boxes)
    return output | ({"notifications": {"telegram": _delivery(told)}} if told else {})


def _box(found: Json) -> Json:
    return {"class": found["class_name"], "confidence": found["confidence"], "bbox": found["bbox"]}


def _delivery(told: Json) -> dict[str, Any]:
    if not told.get("ok"):
        return {"sent": False, "error": told.get("error", "")}
    return {"sent": True, "message_id": told["result"]["message_id"], "chat_id": told["result"]["chat"]["id"]}
