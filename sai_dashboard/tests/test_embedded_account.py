"""Who runs the embedded PostgreSQL: ourselves, or as root somebody else; never root."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sai_dashboard.embedded import EmbeddedPostgres, EmbeddedPostgresError, account
from sai_dashboard.embedded.account import NAMESPACE, Account, choose_account
from sai_dashboard.embedded.binaries import find_binaries
from sai_dashboard.pytest_postgres import chosen_binaries

PROJECT = Path(__file__).resolve().parents[2]
BINARIES = find_binaries(chosen_binaries(), None)
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice")
as_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="root is covered by its own tests")

needs_namespaces = pytest.mark.skipif(
    not Account.namespace().can_run(BINARIES, Path("/")), reason="user namespaces are not allowed here"
)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can go through."""
    with tempfile.TemporaryDirectory(prefix="sai-account-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(params=["namespace", "nobody"])
def ordinary_user(request: pytest.FixtureRequest, shared: Path) -> list[str]:
    """A Python of an ordinary user, started by root; its folder is `shared / "theirs"`."""
    prefix = NAMESPACE if request.param == "namespace" else NOBODY
    theirs = shared / "theirs"
    theirs.mkdir()
    if request.param == "nobody":
        os.chown(theirs, pwd.getpwnam("nobody").pw_uid, -1)
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [*prefix, python]
        if call([*command, "-c", "import psycopg"], shared).returncode == 0:
            return command
    pytest.skip(f"{request.param} cannot run Python with the project here")


def call(command: list[str], shared: Path) -> subprocess.CompletedProcess[str]:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{PROJECT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=shared, env=env, capture_output=True, text=True, timeout=90)


def embedded(user: list[str], action: str, shared: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*user, "-m", "sai_dashboard.embedded", action, "--bin", str(BINARIES), "--data", str(folder)]
    return call(command, shared)


@as_ordinary_user
def test_an_ordinary_user_runs_it_as_itself(tmp_path: Path) -> None:
    assert choose_account(BINARIES, tmp_path, tmp_path / "data") == Account(os.geteuid())


@as_root
def test_an_ordinary_user_starts_tells_and_stops(ordinary_user: list[str], shared: Path) -> None:
    folder = shared / "theirs" / "postgres"
    for action in ("start", "status", "stop"):
        result = embedded(ordinary_user, action, shared, folder)
        assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "data").stat().st_uid == (shared / "theirs").stat().st_uid
    assert embedded(ordinary_user, "status", shared, folder).returncode == 1


@as_root
def test_the_folder_of_somebody_else_is_refused(ordinary_user: list[str], shared: Path) -> None:
    roots = shared / "theirs" / "postgres"
    (roots / "data").mkdir(parents=True, mode=0o700)
    os.chown(roots / "data", pwd.getpwnam("daemon").pw_uid, -1)
    result = embedded(ordinary_user, "start", shared, roots)
    assert result.returncode == 1 and "run the command as the user who first ran it" in result.stderr


@as_root
def test_root_uses_another_account_where_it_reaches_the_folder(shared: Path) -> None:
    chosen = choose_account(BINARIES, shared, shared / "data")
    if not any(other.can_run(BINARIES, shared) for other in account._others()):
        pytest.skip(f"no other account can run {BINARIES}")
    assert chosen.owner in {pwd.getpwnam(name).pw_uid for name in ("postgres", "nobody") if known(name)}


def known(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


@as_root
@needs_namespaces
def test_root_uses_a_namespace_where_nobody_else_reaches_the_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert choose_account(BINARIES, tmp_path, tmp_path / "data") == Account.namespace()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@as_root
def test_root_keeps_the_account_that_owns_the_data(shared: Path) -> None:
    with EmbeddedPostgres(shared / "postgres", binaries=BINARIES) as server:
        owner = server.data.stat().st_uid
    assert choose_account(BINARIES, server.root, server.data).owner == owner


@as_root
@needs_namespaces
def test_root_goes_back_into_the_namespace_for_data_of_its_own(shared: Path) -> None:
    (shared / "data").mkdir(mode=0o700)
    assert choose_account(BINARIES, shared, shared / "data") == Account.namespace()


@as_root
def test_root_can_go_on_with_the_folder_of_an_ordinary_user(ordinary_user: list[str], shared: Path) -> None:
    folder = shared / "theirs" / "postgres"
    assert embedded(ordinary_user, "start", shared, folder).returncode == 0
    with EmbeddedPostgres(folder, binaries=BINARIES) as server:
        assert server.is_running()
    with server:
        assert server.is_running()


@as_root
def test_root_without_any_account_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "PREFERRED", ("no_such_user",))
    monkeypatch.setattr(account, "NAMESPACE", ("false",))
    with pytest.raises(EmbeddedPostgresError, match="Run the command as an ordinary user, or set DATABASE_URL"):
        choose_account(BINARIES, tmp_path, tmp_path / "data")


@as_root
def test_an_owner_who_cannot_run_the_programs_is_named(shared: Path) -> None:
    (shared / "data").mkdir(mode=0o700)
    os.chown(shared / "data", pwd.getpwnam("daemon").pw_uid, -1)
    shared.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="belongs to daemon, who cannot run"):
        choose_account(BINARIES, shared, shared / "data")
