"""Starts, stops and repairs the server.

Layout below its root: `data/` (PostgreSQL's own), `server.log`, `connection.json` (port and password).
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from sai_dashboard.embedded.account import Account, choose_account
from sai_dashboard.embedded.binaries import find_binaries
from sai_dashboard.embedded.connection import HOST, USER, Connection
from sai_dashboard.embedded.errors import EmbeddedPostgresError

# After a kill -9 the first starts fail for some seconds, because orphans still hold the shared memory.
RETRY_SECONDS = 10.0
# A start that finds a log to replay, and a fast stop that writes a checkpoint, may take a while.
START_SECONDS = 120.0
STOP_SECONDS = 60.0


class EmbeddedPostgres:
    """The server below `root`.

    `binaries` names the folder of its programs (default: see `find_binaries`), `settings` are configuration
    parameters of PostgreSQL for this start, such as {"max_connections": "50"}. In a `with` block it is started, and
    stopped at the end; otherwise it survives the process that started it.
    """

    def __init__(self, root: Path, *, binaries: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.root = root.resolve()
        self.data = self.root / "data"
        self.log = self.root / "server.log"
        self._configured = binaries
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it unless it runs; make the data folder when there is none. Raises EmbeddedPostgresError."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            pid = self._pid()
            if pid is None:
                self._start()
            elif not self._becomes_ready(pid):
                raise EmbeddedPostgresError(self._failure("does not become ready"))

    def stop(self) -> None:
        """Stop it unless it is stopped: open connections are closed, transactions rolled back."""
        if not self.data.exists():
            return
        with self._locked():
            pid = self._pid()
            if pid is not None:
                self._signal(pid, signal.SIGINT)
                self._wait_until_gone(pid)
            self._reap()

    def restart(self) -> None:
        """Stop and start it, on the same port."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Whether it accepts connections."""
        pid = self._pid()
        return pid is not None and self._is_ready(pid)

    def url(self, database: str) -> str:
        """`postgresql://sai:<password>@127.0.0.1:<port>/<database>`. Raises EmbeddedPostgresError before a start."""
        connection = Connection.read(self.root / "connection.json")
        if connection is None:
            raise EmbeddedPostgresError(f"There is no server in {self.root} yet: start it first.")
        return connection.url(database)

    def version(self) -> str | None:
        """The major version of the data folder, such as "18"; None before the first start."""
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return None
        except PermissionError:
            # Somebody else's; choose_account says so in a sentence.
            return None

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            # Another process may create it in between; then it exists as well.
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                if exists is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    # --- starting --------------------------------------------------------------------------------

    def _start(self) -> None:
        binaries = find_binaries(self._configured, self.version())
        account = choose_account(binaries, self.root, self.data)
        if not self.data.exists():
            self._initialise(binaries, account)
        end = time.monotonic() + RETRY_SECONDS
        while not self._launch(binaries, account):
            if time.monotonic() > end:
                raise EmbeddedPostgresError(self._failure("does not start"))
            time.sleep(0.5)

    def _initialise(self, binaries: Path, account: Account) -> None:
        """Make the data folder beside its place and rename it at the end, so that half a folder is never used."""
        partial = self.root / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        _give(partial, account)
        connection = Connection(port=free_port(), password=secrets.token_urlsafe(24))
        with tempfile.NamedTemporaryFile("w", dir=self.root, prefix=".password-") as file:
            file.write(connection.password)
            file.flush()
            _give(Path(file.name), account)
            self._run_initdb(binaries, account, partial, Path(file.name))
        connection.write(self.root / "connection.json")
        partial.rename(self.data)

    def _run_initdb(self, binaries: Path, account: Account, folder: Path, password: Path) -> None:
        command: list[str | Path] = [
            *account.prefix, binaries / "initdb", "--pgdata", folder, "--username", USER, "--pwfile", password,
            "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8", "--no-instructions",
        ]  # fmt: skip
        result = subprocess.run(command, cwd="/", env=_environment(), capture_output=True, text=True, **account.options)
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"The data folder could not be made: {result.stderr.strip()}")

    def _launch(self, binaries: Path, account: Account) -> bool:
        """Start the postmaster once; whether it became ready. It keeps running when this process ends."""
        if self._process is not None:
            self._process.poll()  # One that was killed still waits to be buried.
        self._disclaim_stale_lock()
        connection = self._connection_with_free_port()
        settings = {
            **self._settings,
            "listen_addresses": HOST,
            "port": str(connection.port),
            "unix_socket_directories": "",
        }
        command: list[str | Path] = [*account.prefix, binaries / "postgres", "-D", self.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            process: subprocess.Popen[Any] = subprocess.Popen(
                command, cwd="/", env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **account.options,
            )  # fmt: skip
        self._process = process
        return self._becomes_ready(process.pid)

    def _disclaim_stale_lock(self) -> None:
        """After a crash of the machine the stored process id may be anybody's, and PostgreSQL would refuse for ever.

        It takes its own parent's id for stale and then still makes sure that nobody uses the old shared memory.
        """
        lines = self._postmaster_file()
        if len(lines) >= 7:
            with (self.data / "postmaster.pid").open("r+") as file:
                file.write("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
                file.truncate()

    def _connection_with_free_port(self) -> Connection:
        connection = Connection.read(self.root / "connection.json")
        if connection is None:
            raise EmbeddedPostgresError(
                f"{self.root / 'connection.json'} with the password is missing: restore it from a backup, or move"
                f" {self.root} away to begin with an empty database."
            )
        if not is_free(connection.port):
            connection = Connection(port=free_port(), password=connection.password)
            connection.write(self.root / "connection.json")
        return connection

    # --- the running process ---------------------------------------------------------------------

    def _pid(self) -> int | None:
        """The postmaster of our data folder. A stale file may name any process, so the process itself is asked."""
        lines = self._postmaster_file()
        if not lines or not lines[0].isdigit():
            return None
        pid = int(lines[0])
        return pid if self._is_ours(pid) else None

    def _is_ours(self, pid: int) -> bool:
        try:
            return os.fsencode(self.data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def _postmaster_file(self) -> list[str]:
        """Lines of postmaster.pid: process id, data folder, start, port, socket folder, address, memory, state."""
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except OSError:
            return []

    def _is_ready(self, pid: int) -> bool:
        lines = self._postmaster_file()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7] == "ready"

    def _becomes_ready(self, pid: int) -> bool:
        end = time.monotonic() + START_SECONDS
        while not self._is_ready(pid):
            if time.monotonic() > end or not self._is_alive(pid):
                return False
            time.sleep(0.02)
        return True

    def _is_alive(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return self._is_ours(pid)

    def _wait_until_gone(self, pid: int) -> None:
        end = time.monotonic() + STOP_SECONDS
        while self._is_alive(pid):
            if time.monotonic() > end:
                raise EmbeddedPostgresError(self._failure("does not stop"))
            time.sleep(0.02)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL in {self.root} was started by another user: stop it as that user."
            ) from error

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _failure(self, what: str) -> str:
        try:
            tail = self.log.read_text(errors="replace").splitlines()[-10:]
        except OSError:
            tail = []
        return "\n  ".join([f"PostgreSQL in {self.root} {what}; its log ends with:", *tail])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time starts or stops it. The lock is on the folder itself, and dies with its holder."""
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextlib.contextmanager
def temporary_server(binaries: Path | None = None) -> Iterator[EmbeddedPostgres]:
    """A server for tests, in a temporary folder that is removed at the end. It trades durability for speed."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with tempfile.TemporaryDirectory(prefix="sai-postgres-", ignore_cleanup_errors=True) as folder:
        # Another account must reach the data folder in it, which only that account may read.
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder), binaries=binaries, settings=settings) as server:
            yield server


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _give(path: Path, account: Account) -> None:
    if account.owner != os.geteuid():
        os.chown(path, account.owner, -1)


def _environment() -> dict[str, str]:
    """Nothing of ours reaches the server but what finds programs and libraries."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}
