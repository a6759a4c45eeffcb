"""Addresses and secrets: made once, readable by their owner only, and understandable when missing."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import environ
import psycopg
import pytest

from sai_dashboard.embedded import EmbeddedPostgresError, database_url, secret_key
from sai_dashboard.embedded.connection import Connection


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_a_server_the_address_makes_nothing_and_its_error_says_what_to_do(tmp_path: Path) -> None:
    url = database_url(tmp_path / "postgres", "sai")
    assert not (tmp_path / "postgres").exists()
    with pytest.raises(psycopg.OperationalError, match="run make demo or set DATABASE_URL"):
        psycopg.connect(url)


def test_the_settings_understand_the_address_of_no_server(tmp_path: Path) -> None:
    config = environ.Env.db_url_config(database_url(tmp_path, "sai"))
    assert config["ENGINE"] == "django.db.backends.postgresql" and config["NAME"] == "sai"
    assert "run make demo" in config["OPTIONS"]["host"]


def test_a_damaged_file_still_gives_an_address_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "connection.json").write_text('{"port": 5432}')
    with pytest.raises(psycopg.OperationalError, match="is damaged"):
        psycopg.connect(database_url(tmp_path, "sai"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"port": "x", "password": "y"}', "null"])
def test_damaged_files_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "connection.json").write_text(content)
    with pytest.raises(EmbeddedPostgresError, match=r"connection\.json is damaged"):
        Connection.read(tmp_path / "connection.json")


def test_nothing_stored_is_none(tmp_path: Path) -> None:
    assert Connection.read(tmp_path / "connection.json") is None


def test_what_is_stored_is_read_again_and_private(tmp_path: Path) -> None:
    path = tmp_path / "connection.json"
    Connection(port=4711, password="geheim").write(path)
    assert json.loads(path.read_text()) == {"port": 4711, "password": "geheim"}
    assert mode(path) == 0o600 and [each.name for each in tmp_path.iterdir()] == ["connection.json"]
    assert database_url(tmp_path, "n8n") == "postgresql://sai:geheim@127.0.0.1:4711/n8n"


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = secret_key(tmp_path / "data")
    assert len(key) >= 50 and secret_key(tmp_path / "data") == key
    assert mode(tmp_path / "data" / "secret_key") == 0o600
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_the_secret_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(tmp_path / "data"), range(32)))
    assert len(keys) == 1


def test_a_secret_key_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    (tmp_path / "secret_key").mkdir()
    with pytest.raises(EmbeddedPostgresError, match="Or set SECRET_KEY"):
        secret_key(tmp_path)
