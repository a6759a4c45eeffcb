"""The embedded PostgreSQL, as it is started, stopped, killed and attacked."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from sai_dashboard.embedded import EmbeddedPostgres, EmbeddedPostgresError, database_url, server, temporary_server
from sai_dashboard.embedded.account import Account
from sai_dashboard.embedded.binaries import find_binaries
from sai_dashboard.pytest_postgres import chosen_binaries

PROJECT = Path(__file__).resolve().parents[2]
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


def at(root: Path, **settings: str) -> EmbeddedPostgres:
    return EmbeddedPostgres(root, binaries=chosen_binaries(), settings={"fsync": "off", **settings})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Closed to others, so root runs servers in it inside a namespace; open where namespaces are not allowed."""
    with tempfile.TemporaryDirectory(prefix="sai-server-") as name:
        path = Path(name)
        if os.geteuid() == 0 and not Account.namespace().can_run(find_binaries(chosen_binaries(), None), path):
            path.chmod(0o711)
        yield path


@pytest.fixture
def fresh(folder: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server without a data folder."""
    made = at(folder / request.node.name)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def used_root(folder: Path) -> Path:
    """Where a server has run before."""
    with at(folder / "used") as made:
        return made.root


@pytest.fixture
def postgres(used_root: Path) -> Iterator[EmbeddedPostgres]:
    """A server that does not run now, but has a data folder."""
    made = at(used_root)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """A server in a folder that others can reach, so root runs it as another user."""
    with temporary_server(chosen_binaries()) as made:
        yield made


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))


def one(server: EmbeddedPostgres, sql: bytes) -> object:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
    return row and row[0]


def test_looking_and_stopping_make_nothing(fresh: EmbeddedPostgres) -> None:
    assert fresh.is_running() is False and fresh.version() is None
    fresh.stop()
    with pytest.raises(EmbeddedPostgresError, match="start it first"):
        fresh.url("sai")
    assert not fresh.root.exists()


def test_it_works(fresh: EmbeddedPostgres) -> None:
    began = time.monotonic()
    fresh.start()
    fresh.create_database("sai")
    assert time.monotonic() - began < 30
    assert database_url(fresh.root, "sai") == fresh.url("sai")
    with psycopg.connect(fresh.url("sai")) as connection:
        row = connection.execute("SELECT current_user, current_setting('server_encoding')").fetchone()
    assert row == ("sai", "UTF8") and fresh.is_running()
    assert sorted(path.name for path in fresh.root.iterdir()) == ["connection.json", "data", "server.log"]
    assert (fresh.root / "connection.json").stat().st_mode & 0o777 == 0o600


def test_starting_and_creating_twice_changes_nothing(running: EmbeddedPostgres) -> None:
    before = (postmaster(running), running.url("sai"))
    running.start()
    running.create_database("sai")
    running.create_database("sai")
    assert (postmaster(running), running.url("sai")) == before


def test_data_and_port_survive_a_restart(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.create_database("kept")
    url = postgres.url("kept")
    postgres.restart()
    assert postgres.url("kept") == url
    psycopg.connect(url).close()


def test_stop_closes_open_connections(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        process = postmaster(postgres)
        postgres.stop()
        assert not process.is_running() and not postgres.is_running()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_with_block_stops_it_also_after_an_error(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(ZeroDivisionError), postgres:
        process = postmaster(postgres)
        _ = 1 / 0
    assert not process.is_running()


def test_it_survives_the_process_that_started_it(postgres: EmbeddedPostgres) -> None:
    assert starter(postgres).wait(60) == 0
    assert postgres.is_running() and one(postgres, b"SELECT 1") == 1


def test_two_processes_that_start_it_at_once_make_one_server(fresh: EmbeddedPostgres) -> None:
    starters = [starter(fresh) for _ in range(3)]
    assert [each.wait(60) for each in starters] == [0, 0, 0]
    assert one(fresh, b"SELECT 1") == 1
    assert (fresh.root / "server.log").read_text().count("ready to accept connections") == 1


def starter(postgres: EmbeddedPostgres) -> subprocess.Popen[bytes]:
    binaries = chosen_binaries()
    chosen = ["--bin", str(binaries)] if binaries else []
    command = [sys.executable, "-m", "sai_dashboard.embedded", "start", "--data", str(postgres.root), *chosen]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)


# --- crashes -------------------------------------------------------------------------------------


def kill(postgres: EmbeddedPostgres) -> None:
    process = postmaster(postgres)
    process.kill()
    process.wait(10)


def test_it_recovers_after_a_kill(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.create_database("kept")
    url = postgres.url("kept")
    kill(postgres)
    postgres.start()
    assert postgres.url("kept") == url
    psycopg.connect(url).close()


def test_another_process_recovers_it_after_a_kill(postgres: EmbeddedPostgres) -> None:
    assert starter(postgres).wait(60) == 0
    kill(postgres)
    assert starter(postgres).wait(60) == 0
    assert one(postgres, b"SELECT 1") == 1


def test_a_stale_process_id_never_hits_another_process(postgres: EmbeddedPostgres) -> None:
    """After a crash of the machine the stored id can be that of any process."""
    postgres.start()
    kill(postgres)
    lock = postgres.data / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as bystander:
        lock.write_text("\n".join([str(bystander.pid), *lock.read_text().split("\n")[1:]]))
        assert postgres.is_running() is False
        postgres.stop()
        postgres.start()
        assert one(postgres, b"SELECT 1") == 1 and bystander.poll() is None
        bystander.kill()


def test_a_folder_that_was_never_finished_is_made_anew(fresh: EmbeddedPostgres) -> None:
    (fresh.root / "data.partial" / "base").mkdir(parents=True)
    fresh.start()
    assert one(fresh, b"SELECT 1") == 1 and not (fresh.root / "data.partial").exists()


def test_another_port_is_chosen_when_the_old_one_is_taken(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    port = psycopg.conninfo.conninfo_to_dict(postgres.url("postgres"))["port"]
    postgres.stop()
    with socket.create_server(("127.0.0.1", int(str(port)))):
        postgres.start()
        assert f":{port}/" not in postgres.url("postgres")
        assert one(postgres, b"SELECT 1") == 1


def test_a_server_that_cannot_start_shows_its_log(used_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RETRY_SECONDS", 0.0)
    with pytest.raises(EmbeddedPostgresError, match="does not start; its log ends with:(.|\n)*no_such_setting"):
        at(used_root, no_such_setting="1").start()


def test_a_lost_password_is_explained(used_root: Path, postgres: EmbeddedPostgres) -> None:
    stored = used_root / "connection.json"
    stored.rename(used_root / "lost")
    with pytest.raises(EmbeddedPostgresError, match=r"connection\.json with the password is missing"):
        postgres.start()
    (used_root / "lost").rename(stored)


# --- versions ------------------------------------------------------------------------------------


def test_a_data_folder_of_an_unknown_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="There is no PostgreSQL 9, which made this data folder"):
        EmbeddedPostgres(tmp_path).start()


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="needs the package postgresql-15")
def test_a_data_folder_of_version_15_gets_its_own_programs(folder: Path) -> None:
    with EmbeddedPostgres(folder / "version 15", binaries=DEBIAN_15):
        pass
    with EmbeddedPostgres(folder / "version 15") as again:
        assert again.version() == "15"
        assert str(one(again, b"SHOW server_version")).startswith("15.")


# --- no open door --------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "sai", "postgres"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_enters_without_the_password(running: EmbeddedPostgres, host: str, password: str) -> None:
    url = psycopg.conninfo.make_conninfo(running.url("postgres"), host=host, password=password)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url)


def test_no_rule_trusts_anybody(running: EmbeddedPostgres) -> None:
    methods = b"SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules"
    assert one(running, methods) == "scram-sha-256"


def test_its_port_is_open_on_loopback_only(running: EmbeddedPostgres) -> None:
    port = int(str(psycopg.conninfo.conninfo_to_dict(running.url("postgres"))["port"]))
    listening = [each for each in psutil.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert [each.laddr.ip for each in listening if each.laddr and each.laddr.port == port] == ["127.0.0.1"]
    assert f".s.PGSQL.{port}" not in Path("/proc/net/unix").read_text()


def test_it_has_no_other_socket(running: EmbeddedPostgres) -> None:
    try:
        sockets = postmaster(running).net_connections("all")
    except psutil.AccessDenied:
        pytest.skip("not allowed to look into processes of other users")
    assert [each.laddr.ip for each in sockets] == ["127.0.0.1"]


def test_the_server_sees_nothing_of_our_environment(running: EmbeddedPostgres) -> None:
    given = set(postmaster(running).environ())
    assert given <= {"PATH", "LD_LIBRARY_PATH", "LC_ALL", "TZ", "PGSYSCONFDIR", "PGLOCALEDIR"}


def test_only_its_owner_can_look_into_the_data_folder(running: EmbeddedPostgres) -> None:
    status = running.data.stat()
    assert status.st_mode & 0o077 == 0
    assert postmaster(running).uids().real == status.st_uid


def test_a_temporary_server_leaves_nothing() -> None:
    with temporary_server(chosen_binaries()) as made:
        process = postmaster(made)
    assert not made.root.exists() and not process.is_running()


# --- the command line ----------------------------------------------------------------------------


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    binaries = chosen_binaries()
    chosen = ["--bin", str(binaries)] if binaries else []
    command = [sys.executable, "-m", "sai_dashboard.embedded", *chosen, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=90)


def test_the_command_line_starts_tells_and_stops(postgres: EmbeddedPostgres) -> None:
    where = ("--data", str(postgres.root))
    assert command_line("status", *where).returncode == 1
    started = command_line("start", *where)
    assert started.returncode == 0 and "answers at 127.0.0.1:" in started.stdout
    password = str(psycopg.conninfo.conninfo_to_dict(postgres.url("sai"))["password"])
    assert password not in started.stdout
    psycopg.connect(postgres.url("n8n")).close()
    assert command_line("status", *where).returncode == 0
    assert command_line("stop", *where).returncode == 0 and not postgres.is_running()


def test_run_gives_a_command_a_server_and_passes_its_exit_code() -> None:
    script = "import os, psycopg; psycopg.connect(os.environ['N8N_DATABASE_URL']); raise SystemExit(7)"
    assert command_line("run", "--", sys.executable, "-c", script).returncode == 7


def test_run_without_a_command_is_a_mistake() -> None:
    assert command_line("run").returncode == 2
    assert command_line("status", "--", "ls").returncode == 2


def test_ctrl_c_reaches_the_command_and_leaves_no_server(tmp_path: Path) -> None:
    script = "import os, sys, time; print(os.environ['DATABASE_URL'], flush=True); time.sleep(60)"
    command = [sys.executable, "-m", "sai_dashboard.embedded", "run", "--", sys.executable, "-c", script]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) != 0
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(url)
