"""Which workflow node said what. A node is found by its configured name first, then by its type."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from executions.n8n.flatted import Document, Shallow
from executions.n8n.payload import values

WEBHOOK_TYPE = "n8n-nodes-base.webhook"
TELEGRAM_TYPE = "n8n-nodes-base.telegram"
MODEL_TYPES = ("n8n-nodes-base.httpRequest", "@n8n/n8n-nodes-langchain.")
MAX_RUNS = 200
MAX_ITEMS = 200


@dataclass(frozen=True)
class NodeNames:
    """Which workflow nodes play which role, by name, the preferred one first."""

    webhook: tuple[str, ...] = ("Webhook",)
    metadata: tuple[str, ...] = ("Metadata",)
    detector: tuple[str, ...] = ("YOLO Inference", "YOLO")
    vision: tuple[str, ...] = ("Ollama",)
    telegram: tuple[str, ...] = ("Telegram",)
    output: tuple[str, ...] = ("Format SAI Output",)

    @classmethod
    def from_settings(cls, mapping: Mapping[str, Iterable[str] | str]) -> Self:
        """Roles that the mapping does not name keep their defaults; a single name may stand without a list.

        Raises ValueError for a role that does not exist.
        """
        if unknown := sorted(set(mapping) - {role.name for role in fields(cls)}):
            roles = ", ".join(role.name for role in fields(cls))
            raise ValueError(f"N8N_NODE_NAMES names no role {unknown[0]!r}; the roles are {roles}.")
        return cls(**{role: (names,) if isinstance(names, str) else tuple(names) for role, names in mapping.items()})


@dataclass(frozen=True)
class NodeResult:
    """The last run of a workflow node that left anything.

    `items` are its output items (`json`, perhaps `binary` and `error`), without those that n8n makes up when it
    recovers a crashed execution. `error` is what stopped the node.
    """

    name: str
    items: tuple[Shallow, ...] = ()
    error: str | None = None
    is_lost: bool = False
    """n8n died while or after the node ran: what it had answered is gone, though the node may have done its work."""


class Nodes:
    """The workflow nodes of one execution."""

    def __init__(self, document: Document, workflow: dict[str, Any] | None) -> None:
        self._document = document
        self._types = _types(workflow)
        self._runs = document.get("resultData", "runData")

    def by_name(self, names: Iterable[str]) -> Iterator[NodeResult]:
        """The results of those of the named nodes that ran, in the order of the names."""
        for name in names:
            if (result := self.result(name)) is not None:
                yield result

    def by_type(self, is_wanted: Callable[[str], bool]) -> Iterator[NodeResult]:
        """The results of the nodes of a type, in the workflow's order."""
        return self.by_name([name for name, kind in self._types.items() if is_wanted(kind)])

    def result(self, name: str) -> NodeResult | None:
        """The last run of the node that left items or an error; None when it did not run."""
        if not isinstance(self._runs, dict) or name not in self._runs:
            return None
        runs = self._document.get(name, start=self._runs)
        results = [self._run(name, run) for run in list(self._document.elements(runs))[-MAX_RUNS:]]
        telling = [result for result in results if result.items or result.error]
        return (telling or results or [NodeResult(name)])[-1]

    def _run(self, name: str, run: Shallow) -> NodeResult:
        items: list[Shallow] = []
        is_lost = self._document.get("executionStatus", start=run) == "crashed"
        for output in self._document.elements(self._document.get("data", "main", start=run)):
            for item in self._document.elements(output):
                if self._document.get("json", "isArtificialRecoveredEventItem", start=item) is True:
                    is_lost = True
                elif isinstance(item, dict) and len(items) < MAX_ITEMS:
                    items.append(item)
        error = error_text(self._document, self._document.get("error", start=run))
        return NodeResult(name, tuple(items), error, is_lost)


def error_text(document: Document, error: Shallow) -> str | None:
    """What an error says, for people. Its `context.request` repeats the image and is never looked at."""
    if isinstance(error, str):
        return values.message(error)
    said = [values.message(document.get(key, start=error)) for key in ("message", "description")]
    parts = [part for part in said if part]
    if not parts:
        return values.message(document.get("error", start=error)) or ("unknown error" if error else None)
    return values.message(": ".join(dict.fromkeys(part.rstrip(".: ") or part for part in parts)))


def _types(workflow: dict[str, Any] | None) -> dict[str, str]:
    nodes = workflow.get("nodes") if isinstance(workflow, dict) else None
    if not isinstance(nodes, list):
        return {}
    return {
        node["name"]: node["type"]
        for node in nodes
        if isinstance(node, dict) and isinstance(node.get("name"), str) and isinstance(node.get("type"), str)
    }
