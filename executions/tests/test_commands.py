"""What the commands have in common: a sentence instead of a traceback, and help with an example."""

import os
import subprocess
import sys

import pytest
from django.core.management import get_commands, load_command_class

from executions.tests.processes import ROOT

COMMANDS = sorted(name for name, app in get_commands().items() if app in ("executions", "sai_dashboard"))
WITH_DATABASE = [
    ("verify_capture",),
    ("backfill_executions", "--yes"),
    ("reprocess_executions", "--failed"),
    ("listen_n8n", "--once"),
    ("etl_worker", "--once"),
    ("check_images",),
]


@pytest.mark.parametrize("arguments", WITH_DATABASE, ids=lambda arguments: str(arguments[0]))
def test_a_database_that_is_away_is_a_sentence(arguments: tuple[str, ...]) -> None:
    away = "postgresql://sai:secret@127.0.0.1:1/sai"
    env = os.environ | {"DATABASE_URL": away, "N8N_DATABASE_URL": away}
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "A database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr and "secret" not in done.stderr + done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    if name == "demo_accounts":  # Only the demo calls it.
        return
    assert f"manage.py {name}" in parser.format_help()
