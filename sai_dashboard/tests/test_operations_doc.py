"""docs/operations.md and the systemd units say what the code does; nothing in them is left from yesterday."""

import ast
import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "operations.md").read_text()
UNITS = sorted((PROJECT / "docs" / "systemd").glob("*.service"))
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
HOME = "/opt/sai-dashboard"


def logged_actions(source: str) -> Iterator[str]:
    """What a module may log as `action`, also where a condition chooses between two."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_METHODS:
            said = [keyword.value for keyword in node.keywords if keyword.arg == "action"]
            yield from (each for value in said for each in _texts(value))


def _texts(value: ast.expr) -> list[str]:
    if isinstance(value, ast.IfExp):
        return [*_texts(value.body), *_texts(value.orelse)]
    assert isinstance(value, ast.Constant), f"write the action as text, not as {ast.unparse(value)}"
    return [str(value.value)]


def actions_in_the_code() -> set[str]:
    modules = [path for app in ("executions", "incidents", "reviews", "sai_dashboard") for path in app_modules(app)]
    return {action for path in modules for action in logged_actions(path.read_text())}


def app_modules(app: str) -> Iterator[Path]:
    return (path for path in (PROJECT / app).rglob("*.py") if "tests" not in path.parts)


def actions_in_the_table() -> list[str]:
    (section,) = re.findall(r"^## What each log action means$(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"^\| `([a-z_.0-9]+)` \|", section, re.MULTILINE)


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals.
    parser.read(path)
    return parser


def test_what_is_no_log_line_is_no_action() -> None:
    assert list(logged_actions("add_argument(action='store_true')\nlog.info('x')\nmake(action='y')")) == []


def test_every_form_of_an_action_is_seen() -> None:
    source = "log.info('x', action='a.b')\nlog.warning('y', action='c' if z else 'd')"
    assert list(logged_actions(source)) == ["a.b", "c", "d"]


def test_every_action_is_in_the_table() -> None:
    assert len(actions_in_the_code()) > 20
    assert actions_in_the_code() - set(actions_in_the_table()) == set()


def test_the_table_has_no_other_action_and_none_twice() -> None:
    assert set(actions_in_the_table()) - actions_in_the_code() == set()
    assert len(actions_in_the_table()) == len(set(actions_in_the_table()))


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md", "docs/n8n-contract.md", "CONTRIBUTING.md"])
def test_every_command_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"manage\.py ([a-z_0-9]+)", (PROJECT / document).read_text()))
    assert named - get_commands().keys() == set()


@pytest.mark.parametrize(
    "document", ["README.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md"))]
)
def test_every_link_to_a_file_leads_somewhere(document: str) -> None:
    path = PROJECT / document
    targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_page_names_each_unit_and_what_it_starts_exists(path: Path) -> None:
    assert f"systemd/{path.name}" in PAGE
    program, *arguments = unit(path)["Service"]["ExecStart"].split()
    assert program == f"{HOME}/.venv/bin/python"
    command = arguments[1] if arguments[0] == "manage.py" else ""
    assert command in get_commands() or arguments[:2] == ["-m", "granian"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_each_unit_runs_with_few_rights_and_for_ever(path: Path) -> None:
    service = unit(path)["Service"]
    expected = {"User": "sai", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "PrivateTmp": "yes"}
    assert expected.items() <= dict(service).items()
    assert service["Restart"] == "always" and unit(path)["Unit"]["StartLimitIntervalSec"] == "0"
    # Longer than what is in hand may take (ETL_TIMEOUT_MS), else systemd kills it in the middle.
    assert int(service["TimeoutStopSec"]) > (5 if "web" in path.name else 30)
    assert service["EnvironmentFile"] == f"{HOME}/.env"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        # It also looks whether the program is there.
        (tmp_path / path.name).write_text(path.read_text().replace(f"{HOME}/.venv/bin/python", "/bin/true"))
    units = [tmp_path / path.name for path in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "sai-" in line]
    assert done.returncode == 0 and complaints == []
