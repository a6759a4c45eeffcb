"""Who may import whom: the rules of docs/flow.md, checked on the source text of every module that is no test."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
# An arrow goes only from a later one to an earlier one.
LAYERS = ["executions", "incidents", "reviews", "sai_dashboard"]

# A folder of modules, and all of ours that it may import.
ONLY = {
    "executions.n8n": ["executions.n8n"],
    "executions.ingest": [
        "executions.ingest",
        "executions.n8n",
        "executions.models",
        "executions.events",
        "executions.exceptions",
        "executions.storage",
    ],
    # It stands for n8n and the cameras, which know nothing of us.
    "executions.simulator": ["executions.simulator"],
}

# Part of ours, and the only modules besides itself that may import it.
ONLY_FROM = {
    # The system checks ask n8n's readers whether they can live with the configuration.
    "executions.n8n": ["executions.ingest", "executions.management", "executions.bench", "executions.checks"],
    "executions.ingest": ["executions.management", "executions.bench"],
    "executions.simulator": ["executions.management", "executions.bench"],
    # It measures the product from outside.
    "executions.bench": ["executions.management"],
}

# A package of others, and its home with us.
HOMES = {
    "PIL": ["executions.ingest.images", "executions.simulator", "executions.bench"],
    "django_eventstream": ["executions.events", "executions.relay", "executions.urls", "sai_dashboard.urls"],
    "django_q": ["executions.tasks", "incidents.tasks", "reviews.tasks"],
    "jsonschema": ["executions.n8n.payload.contract"],
    "psycopg": [
        "executions.ingest.listener",
        "executions.n8n.connect",
        "executions.n8n.triggers",
        "executions.relay",
        "executions.simulator",
        "executions.bench",
        # It explains the errors of installing and of writing to n8n.
        "executions.management.commands.install_n8n_triggers",
        "executions.management.commands.simulate_n8n",
        "sai_dashboard.embedded.server",
    ],
    "rest_framework": ["executions.api", "incidents.api", "reviews.api", "sai_dashboard.api_router"],
    "unfold": ["executions.admin", "incidents.admin", "reviews.admin", "sai_dashboard.admin_theme"],
}


@dataclass(frozen=True)
class Import:
    """`module` imports `name`; both with all their dots."""

    module: str
    name: str


def within(name: str, *parents: str) -> bool:
    """Whether a dotted name is one of the parents or lies below it."""
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def broken_rule(each: Import) -> str | None:
    """The rule that an import breaks, or None."""
    importer, imported = each.module.split(".")[0], each.name.split(".")[0]
    if imported in LAYERS and importer in LAYERS and LAYERS.index(imported) > LAYERS.index(importer):
        return f"{importer} must not know {imported}"
    for part, allowed in ONLY.items():
        if within(each.module, part) and imported in LAYERS and not within(each.name, *allowed):
            return f"{part} may only import {', '.join(allowed)}"
    for part, allowed in ONLY_FROM.items():
        if within(each.name, part) and not within(each.module, part, *allowed, "sai_dashboard"):
            return f"{part} may only be imported by {', '.join(allowed)}"
    if imported in HOMES and not within(each.module, *HOMES[imported]):
        return f"{imported} may only be imported by {', '.join(HOMES[imported])}"
    return None


def imports_of(module: str, source: str) -> Iterator[Import]:
    """Every import of a module, also inside functions. `from a import b` counts as `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the full name"
            yield from (Import(module, f"{node.module}.{alias.name}") for alias in node.names)


def modules() -> Iterator[tuple[str, Path]]:
    for layer in LAYERS:
        for path in sorted((PROJECT / layer).rglob("*.py")):
            name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
            if not {"tests", "migrations"} & set(name.split(".")):
                yield name, path


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("executions.views", "executions.models"),
        ("executions.ingest.phase1", "executions.n8n.payload"),
        ("executions.n8n.payload.nodes", "executions.n8n.flatted"),
        ("reviews.assignment", "incidents.models"),
        ("sai_dashboard.asgi", "executions.relay"),
        ("executions.ingest.images", "PIL.Image"),
        ("executions.models", "django.db.models"),
    ],
)
def test_what_is_allowed(module: str, name: str) -> None:
    assert broken_rule(Import(module, name)) is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("executions.views", "sai_dashboard.settings"),
        ("executions.tasks", "incidents.models"),
        ("incidents.correlation", "reviews.models"),
        ("executions.n8n.source", "executions.models"),
        ("executions.ingest.queue", "executions.views"),
        ("executions.views", "executions.ingest.queue"),
        ("executions.admin", "executions.n8n.triggers"),
        ("incidents.api", "executions.n8n"),
        ("executions.ingest.worker", "executions.simulator"),
        ("executions.ingest.phase1", "PIL"),
        ("executions.views", "psycopg.errors"),
        ("executions.ingest.recording", "django_eventstream.models"),
    ],
)
def test_what_is_refused(module: str, name: str) -> None:
    assert broken_rule(Import(module, name)) is not None


def test_every_form_of_an_import_is_seen() -> None:
    source = "import a.b, c\nfrom d import e, f\ndef g():\n    from h.i import j\n"
    assert [each.name for each in imports_of("m", source)] == ["a.b", "c", "d.e", "d.f", "h.i.j"]
    with pytest.raises(AssertionError, match="write the full name"):
        list(imports_of("m", "from . import x"))


def test_every_import_of_ours_keeps_the_rules() -> None:
    seen = {name: list(imports_of(name, path.read_text())) for name, path in modules()}
    assert "executions.n8n.source" in seen and "sai_dashboard.embedded" in seen
    broken = [
        f"{each.module} -> {each.name}: {rule}"
        for all_ in seen.values()
        for each in all_
        if (rule := broken_rule(each))
    ]
    assert broken == []
