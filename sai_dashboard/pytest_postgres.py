"""Pytest plugin: the suite's own PostgreSQL, started before the settings are read and removed at the end.

`SAI_TEST_POSTGRES` chooses the programs: `embedded` (default), or a folder such as /usr/lib/postgresql/15/bin.
"""

import os
import signal
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sai_dashboard.embedded import EmbeddedPostgres, temporary_server

SERVER = pytest.StashKey[EmbeddedPostgres]()

# What a person's .env may set must not change what the tests see.
NEUTRAL = {
    "DEBUG": "",
    "IMAGE_STORAGE": "null",
    "LOG_JSON": "",
    "N8N_BINARY_DATA_PATH": "",
    "N8N_NODE_NAMES": "{}",
    "N8N_STORAGE_PATH": "",
    "N8N_WORKFLOW_IDS": "yDbfhooKemfhMIkC",
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """pytest-django reads the settings inside this hook, so the environment must be complete before it."""
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    # A plain SIGTERM would leave the server behind; as a KeyboardInterrupt it ends the run in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = stack.enter_context(temporary_server(chosen_binaries()))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sai-test-")))
    early_config.stash[SERVER] = server
    os.environ |= NEUTRAL | environment(server, folder)
    return (yield)


def chosen_binaries() -> Path | None:
    """The folder of PostgreSQL's programs, None for the embedded ones."""
    chosen = os.environ.get("SAI_TEST_POSTGRES") or "embedded"
    return None if chosen == "embedded" else Path(chosen)


def environment(server: EmbeddedPostgres, folder: Path) -> dict[str, str]:
    """Where the settings find databases and files. Django makes its test databases from it: test_sai and test_n8n."""
    return {
        "DATABASE_URL": server.url("sai"),
        "N8N_DATABASE_URL": server.url("n8n"),
        "SAI_DATA_DIR": str(folder),
        "IMAGE_ROOT": str(folder / "images"),
    }


def pytest_report_header(config: pytest.Config) -> str:
    server = config.stash[SERVER]
    return f"PostgreSQL {server.version()} ({chosen_binaries() or 'embedded'})"
