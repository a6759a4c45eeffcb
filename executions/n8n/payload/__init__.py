"""What the items of a workflow say, parsed into frozen dataclasses. Nothing unknown is given a value.

`read_capture` reads what is known when an execution is created, `read_outcome` what is known when it has ended. Any
decoded data gives a result; only broken references raise (`flatted.MalformedData`).
"""

from executions.n8n.binary_data import BinaryRef
from executions.n8n.payload.camera import CameraFacts
from executions.n8n.payload.capture import Capture, parse_metadata, read_capture, with_metadata
from executions.n8n.payload.nodes import NodeNames
from executions.n8n.payload.outcome import Outcome, read_outcome
from executions.n8n.payload.results import Detection, Inference, TelegramOutcome

__all__ = [
    "BinaryRef",
    "CameraFacts",
    "Capture",
    "Detection",
    "Inference",
    "NodeNames",
    "Outcome",
    "TelegramOutcome",
    "parse_metadata",
    "read_capture",
    "read_outcome",
    "with_metadata",
]
