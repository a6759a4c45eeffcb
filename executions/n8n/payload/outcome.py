"""Phase 2: what the models answered, whether the message went out, and why the workflow failed if it did."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from executions.n8n.flatted import Document, Shallow
from executions.n8n.payload import contract, detector, telegram, values, vision
from executions.n8n.payload.nodes import MODEL_TYPES, TELEGRAM_TYPE, NodeNames, NodeResult, Nodes, error_text
from executions.n8n.payload.results import Inference, TelegramOutcome

FAILED = frozenset({"error", "crashed", "canceled"})
# A detector's answer may repeat the whole frame with the boxes drawn in.
SKIPPED = frozenset({"annotated_image"})
MAX_VALUES = 50_000
MAX_DEPTH = 50
Result = TypeVar("Result", Inference, TelegramOutcome)


@dataclass(frozen=True)
class Outcome:
    """What is known when an execution has ended.

    `is_final`: n8n has written its last data (see `is_final`). `contract` is the reader that matched: structured,
    by_name or by_type. `contract_errors` says why the structured output, where there is one, does not comply.
    `workflow_error` is the failing node, if known, and what it said. `notes` says what is absent, and why.
    """

    is_final: bool
    inference: Inference | None = None
    notification: TelegramOutcome | None = None
    contract: str | None = None
    contract_errors: tuple[str, ...] = ()
    workflow_error: tuple[str | None, str] | None = None
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class _Reading:
    """What has been read so far of one execution."""

    notes: dict[str, str] = field(default_factory=dict)
    found_by: set[str] = field(default_factory=set)


def read_outcome(
    document: Document,
    names: NodeNames,
    workflow: dict[str, Any] | None,
    *,
    status: str,
    image_size: tuple[int, int] | None,
) -> Outcome:
    """What the models and the notification step said. `status` is n8n's, `image_size` that of the stored image.

    Raises MalformedData for broken references.
    """
    nodes = Nodes(document, workflow)
    reading = _Reading()
    structured, contract_errors = _structured(document, nodes, names)
    stated = None
    if structured is not None:
        stated, notes = contract.read_inference(structured, image_size)
        reading.notes |= notes
    detected = _detector(document, nodes, names, image_size, reading)
    seen = _vision(document, nodes, names, reading)
    return Outcome(
        is_final=is_final(document, status),
        inference=_combine(stated, detected, seen, reading.notes),
        notification=_notification(document, nodes, names, structured, reading),
        contract="structured" if structured is not None else _weakest(reading.found_by),
        contract_errors=contract_errors,
        workflow_error=_workflow_error(document),
        notes=reading.notes,
    )


def is_final(document: Document, status: str) -> bool:
    """Whether n8n has written its last data for this status.

    n8n 1.60.1 sets the status first and writes the data up to 0.3 s later. A success ends with an empty stack and the
    name of the last node; everything else ends with an error. An execution that was canceled before it began, or of
    which n8n found nothing to recover, never gets that: whoever waits for final data needs a limit.
    """
    if status == "success":
        stack = document.get("executionData", "nodeExecutionStack")
        return isinstance(document.get("resultData", "lastNodeExecuted"), str) and not stack
    return status in FAILED and bool(document.get("resultData", "error"))


def _structured(document: Document, nodes: Nodes, names: NodeNames) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The output that complies with the contract, else None and why the one that there is does not."""
    for result in nodes.by_name(names.output):
        if not result.items:
            return None, (f"{result.name} failed: {result.error}",) if result.error else ()
        said = _json(document, result.items[0])
        errors = contract.errors(said)
        return (said, ()) if not errors else (None, errors)
    return None, ()


def _detector(
    document: Document, nodes: Nodes, names: NodeNames, image_size: tuple[int, int] | None, reading: _Reading
) -> Inference | None:
    said = _answer(document, nodes, names.detector, detector.is_answer, "detector", reading)
    if said is None:
        return None
    inference, notes = detector.read_detector(said, image_size)
    reading.notes = notes | reading.notes
    return inference


def _vision(document: Document, nodes: Nodes, names: NodeNames, reading: _Reading) -> Inference | None:
    said = _answer(document, nodes, names.vision, vision.is_answer, "vision", reading)
    if said is None:
        return None
    inference, notes = vision.read_vision(said)
    reading.notes = notes | reading.notes
    return inference


def _answer(
    document: Document,
    nodes: Nodes,
    names: Iterable[str],
    is_answer: Callable[[Any], bool],
    role: str,
    reading: _Reading,
) -> dict[str, Any] | None:
    """The answer of the node that plays a role; if there is none, a note says why."""
    named = list(nodes.by_name(names))
    typed = nodes.by_type(lambda kind: kind.startswith(MODEL_TYPES))
    for found_by, results in (("by_name", iter(named)), ("by_type", typed)):
        for result in results:
            for item in result.items:
                said = _json(document, item)
                if is_answer(said):
                    reading.found_by.add(found_by)
                    return dict(said)
    reading.notes[role] = _why_absent(document, named, role)
    return None


def _why_absent(document: Document, named: list[NodeResult], role: str) -> str:
    if not named:
        return f"No workflow node of the role {role!r} has answered."
    result = named[0]
    if result.is_lost:
        return f"n8n crashed and lost the answer of {result.name}."
    error = result.error
    for item in result.items:
        error = error or error_text(document, document.get("error", start=item)) or _stated_error(document, item)
    return f"{result.name} failed: {error}" if error else f"{result.name} left no answer that could be read."


def _stated_error(document: Document, item: Shallow) -> str | None:
    return error_text(document, document.get("json", "error", start=item))


def _json(document: Document, item: Shallow) -> Any:
    return document.resolve(document.get("json", start=item), skip=SKIPPED, max_values=MAX_VALUES, max_depth=MAX_DEPTH)


def _combine(
    stated: Inference | None, detected: Inference | None, seen: Inference | None, notes: dict[str, str]
) -> Inference | None:
    """One result out of several: what the contract states comes first, then the detector, then the vision model."""
    given = [inference for inference in (stated, detected, seen) if inference is not None]
    if not given:
        return None
    if given == [seen] and seen is not None and seen.processing_time_ms is not None:
        notes["processing_time_ms"] = "The vision model's; the detector stated none."
    combined = given[0]
    for other in given[1:]:
        combined = _fill(combined, other)
    outputs = {role: said for inference in given for role, said in (inference.model_outputs or {}).items()}
    return replace(combined, flags=_combine_flags(given, notes), model_outputs=outputs or None)


def _fill(primary: Result, other: Result) -> Result:
    """The primary with its gaps filled from the other."""
    gaps = {item.name: getattr(other, item.name) for item in fields(primary) if getattr(primary, item.name) is None}
    return replace(primary, **gaps)


def _combine_flags(given: list[Inference], notes: dict[str, str]) -> dict[str, bool] | None:
    """True if any model says so: a fire that one of two models sees is worth a look."""
    flags: dict[str, bool] = {}
    for inference in given:
        for name, value in (inference.flags or {}).items():
            if flags.setdefault(name, value) != value:
                flags[name] = True
                notes["flags"] = f"The models disagree about {name}; it counts as seen."
    return flags or None


def _notification(
    document: Document, nodes: Nodes, names: NodeNames, structured: dict[str, Any] | None, reading: _Reading
) -> TelegramOutcome | None:
    stated = None if structured is None else contract.read_telegram(structured)
    ran = None
    by_type = nodes.by_type(lambda kind: kind == TELEGRAM_TYPE)
    for found_by, results in (("by_name", nodes.by_name(names.telegram)), ("by_type", by_type)):
        if ran is None and (result := next(iter(results), None)) is not None:
            ran, notes = telegram.read_telegram(document, result)
            reading.notes |= notes
            reading.found_by.add(found_by)
    if stated is None or ran is None:
        return stated or ran
    return _fill(stated, ran)


def _weakest(found_by: set[str]) -> str | None:
    """One role that had to be found by its type means that the configured names do not fit this workflow."""
    return "by_type" if "by_type" in found_by else next(iter(found_by), None)


def _workflow_error(document: Document) -> tuple[str | None, str] | None:
    error = document.get("resultData", "error")
    if not error:
        return None
    node = document.get("node", "name", start=error) or document.get("resultData", "lastNodeExecuted")
    return values.text(node, 200), error_text(document, error) or "unknown error"
