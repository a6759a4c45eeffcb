"""What a "Format SAI Output" node states: the structured contract of docs/n8n-output-schema.json."""

from datetime import UTC

from executions.simulator.fleet import Shot
from executions.simulator.scenarios import Scenario
from executions.simulator.services import Json, alert_level


def structured_output(scenario: Scenario, shot: Shot, execution_id: int, message_id: int) -> Json:
    """The contract's object for one frame. Whatever is not known is left out."""
    site, level = shot.camera.site, alert_level(scenario.boxes)
    return {
        "execution_id": execution_id,
        "timestamp": shot.captured_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "camera": {
            "id": shot.camera.camera_id,
            "node_id": site.device_id,
            "location": {"lat": site.latitude, "lng": site.longitude},
        },
        "image": {
            "binary": "image",
            "format": "jpeg",
            "size_bytes": len(shot.image),
            "width": shot.size[0],
            "height": shot.size[1],
        },
        "analysis": {
            "model": "SAINet_v10.0_e143",
            "risk_level": level,
            **({"confidence": max(box.confidence for box in scenario.boxes)} if scenario.boxes else {}),
            "detections": {name: any(box.class_name == kind for box in scenario.boxes) for name, kind in KINDS},
            "raw_response": scenario.vision,
        },
    }


KINDS = (("smoke", "smoke"), ("flame", "fire"))
