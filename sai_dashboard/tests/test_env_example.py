"""`.env.example` tells of every variable that the code reads, and of no other; what it says is true."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = ("executions", "incidents", "reviews", "sai_dashboard", "scripts")
# How the settings read: env.str("NAME"), positive_int("NAME", 3), and so on.
READERS = {"positive_int", "optional_folder", "boolean", "json_object", "database"}
# Django's own; every entry point sets it itself.
NOT_OURS = {"DJANGO_SETTINGS_MODULE"}
DOCUMENTED = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
# Read by shell scripts or by PostgreSQL's starter, before or without the settings.
TOOLS = {"PYTHON", "POSTGRES_BIN", "POSTGRES_15_BIN", "SAI_TEST_POSTGRES", "N8N_ADMIN_DATABASE_URL"}

SHOW = """
import environ, json, pathlib
environ.Env.read_env = lambda *arguments, **options: None  # A person's own .env has no say here.
from sai_dashboard import settings
shown = {name: value for name, value in vars(settings).items() if name.isupper()}
print(json.dumps(shown, default=lambda each: str(each) if isinstance(each, pathlib.Path) else type(each).__name__))
"""


def documented() -> dict[str, str]:
    """Name -> default, as the example states them."""
    return {name: value.strip("'") for name, value in DOCUMENTED.findall((PROJECT / ".env.example").read_text())}


def names_in_python(source: str) -> Iterator[str]:
    """Variables that a module reads, by any of our ways."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _is_reader(node.func):
            yield from (str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield from ([str(node.slice.value)] if isinstance(node.slice, ast.Constant) else [])


def _is_reader(function: ast.expr) -> bool:
    name = ast.unparse(function)
    return name in READERS | {"os.environ.get", "os.getenv"} or name.startswith("env.")


def names_in_shell(source: str) -> set[str]:
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*):-", source))


def read_by_the_code() -> set[str]:
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (PROJECT / folder).rglob("*"):
            if path.suffix == ".py" and not {"tests", "migrations"} & set(path.parts):
                found |= set(names_in_python(path.read_text()))
            elif folder == "scripts" and path.is_file() and not path.suffix:
                found |= names_in_shell(path.read_text())
    return found - NOT_OURS


def settings_with(**variables: str) -> dict[str, object]:
    """What the settings are in an environment of nothing but these variables."""
    env = {"PATH": os.environ["PATH"], "SECRET_KEY": "fixed, so that no file is made", **variables}
    shown = subprocess.run([sys.executable, "-c", SHOW], cwd=PROJECT, env=env, check=True, capture_output=True)
    settings: dict[str, object] = json.loads(shown.stdout)
    return settings


@pytest.mark.parametrize(
    "source",
    [
        "env.str('A', default='')",
        "positive_int('A', 1)",
        "boolean('A', False)",
        "import os\nx = os.environ['A']",
        "os.environ.get('A')",
        "os.getenv('A')",
    ],
)
def test_every_way_to_read_a_variable_is_seen(source: str) -> None:
    assert list(names_in_python(source)) == ["A"]


def test_what_only_looks_like_one_is_not() -> None:
    assert list(names_in_python("os.environ[name]\nsettings.get('A')\nenviron = {'A': 1}")) == []
    assert names_in_shell("echo ${A:-b} $HOME") == {"A"}


def test_every_variable_that_is_read_is_documented() -> None:
    assert read_by_the_code() - documented().keys() == set()


def test_every_documented_variable_is_read() -> None:
    assert documented().keys() - read_by_the_code() == set()


def test_each_is_documented_once_below_a_sentence() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    at = [number for number, line in enumerate(lines) if DOCUMENTED.match(line)]
    assert len(at) == len(documented()) > 30
    assert [lines[number] for number in at if not lines[number - 1].startswith("# ")] == []


def test_the_documented_defaults_are_the_defaults() -> None:
    stated = {name: value for name, value in documented().items() if name not in TOOLS | {"SECRET_KEY"}}
    # The default folders lie beside the code, wherever the process starts; written down they are relative.
    for name in ("SAI_DATA_DIR", "IMAGE_ROOT"):
        stated[name] = str(PROJECT / stated[name])
    assert settings_with(**stated) == settings_with()


@pytest.mark.parametrize("name", ["SAI_DATA_DIR", "IMAGE_ROOT", "DATABASE_URL", "IMAGE_STORAGE", "HTTPS", "LOG_JSON"])
def test_empty_means_unset(name: str) -> None:
    assert settings_with(**{name: ""}) == settings_with()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETL_MAX_CONCURRENT", "abc"),
        ("ETL_MAX_CONCURRENT", "0"),
        ("ETL_TIMEOUT_MS", "-1"),
        ("SAI_TIME_ZONE", "Mars"),
        ("DATABASE_URL", "mysql://sai@127.0.0.1/sai"),
        ("N8N_DATABASE_URL", "here"),
        ("N8N_NODE_NAMES", "not json"),
        ("N8N_NODE_NAMES", '["YOLO"]'),
        ("IMAGE_STORAGE", "7"),
        ("HTTPS", "ture"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_stops_with_a_sentence_that_names_the_variable(name: str, value: str) -> None:
    command, env = [sys.executable, "manage.py", "check"], os.environ | {name: value}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    error, _, sentence = done.stderr.strip().splitlines()[-1].partition(": ")
    assert error == "django.core.exceptions.ImproperlyConfigured"
    assert sentence.startswith(f"{name} ") and sentence.endswith(".")
