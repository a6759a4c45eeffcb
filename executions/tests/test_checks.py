"""Each wrong configuration has a check with an id; the default one has none."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage
from pytest_django import Settings

from executions import checks

PROJECT = Path(__file__).resolve().parents[2]


class KeepsBoth(FileSystemStorage):
    """Says what an S3 store says that was told not to overwrite."""

    file_overwrite = False


def found() -> list[CheckMessage]:
    return [message for check in checks.ALL for message in check(None)]


def only(id_: str) -> str:
    """The text of the one message there is."""
    (message,) = found()
    assert message.id == f"executions.{id_}" and message.hint
    return str(message.msg)


def use_store(settings: Settings, backend: str, **options: object) -> None:
    settings.STORAGES = {**settings.STORAGES, "images": {"BACKEND": backend, "OPTIONS": options}}


def test_the_default_configuration_is_fine(image_root: Path) -> None:
    assert found() == []


def test_a_fresh_clone_without_any_database_is_fine(tmp_path: Path) -> None:
    ours = ("DATABASE_URL", "N8N_DATABASE_URL", "IMAGE_ROOT")
    env = os.environ | dict.fromkeys(ours, "") | {"SAI_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data" / "images").exists()


def test_manage_py_check_runs_them() -> None:
    command, env = [sys.executable, "manage.py", "check"], os.environ | {"N8N_WORKFLOW_IDS": "it's"}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "(executions.E001)" in done.stderr


def test_several_workflows_are_fine(settings: Settings) -> None:
    settings.N8N_WORKFLOW_IDS = ["yDbfhooKemfhMIkC", "1042"]
    assert found() == []


@pytest.mark.parametrize("ids", [[], ["it's"], ["yDbfhooKemfhMIkC", " spaced"], [""]])
def test_workflow_ids_that_are_none(settings: Settings, ids: list[str]) -> None:
    settings.N8N_WORKFLOW_IDS = ids
    assert "N8N_WORKFLOW_IDS" in only("E001")


def test_a_single_name_and_a_role_without_names_are_fine(settings: Settings) -> None:
    settings.N8N_NODE_NAMES = {"detector": "YOLO", "vision": []}
    assert found() == []


def test_a_role_that_does_not_exist(settings: Settings) -> None:
    settings.N8N_NODE_NAMES = {"detektor": ["YOLO"]}
    assert "'detektor'" in only("E002")


@pytest.mark.parametrize("names", [5, [5], {"YOLO": 1}, None])
def test_names_that_are_none(settings: Settings, names: object) -> None:
    settings.N8N_NODE_NAMES = {"webhook": ["Webhook"], "vision": names}
    assert "'vision'" in only("E002")


@pytest.mark.parametrize("name", ["N8N_BINARY_DATA_PATH", "N8N_STORAGE_PATH"])
def test_a_readable_folder_is_fine(settings: Settings, tmp_path: Path, name: str) -> None:
    setattr(settings, name, tmp_path)
    assert found() == []


@pytest.mark.parametrize("name", ["N8N_BINARY_DATA_PATH", "N8N_STORAGE_PATH"])
def test_a_folder_that_is_missing_or_a_file(settings: Settings, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing", tmp_path / "file", tmp_path / "file" / "below"):
        setattr(settings, name, path)
        assert only("E003").startswith(f"{name} is {path}, which is no folder")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Another user while the test runs: to root every folder is open."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """Not below tmp_path, whose parents are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0)
        yield Path(folder)
        os.chmod(folder, 0o700)


def test_a_folder_that_this_user_may_not_read(settings: Settings, closed_folder: Path, nobody: None) -> None:
    settings.N8N_BINARY_DATA_PATH = closed_folder
    (message,) = checks.source_folders(None)
    assert message.id == "executions.E003" and message.msg.endswith("which this user may not read.")


def test_a_store_that_this_user_may_not_write(settings: Settings, closed_folder: Path, nobody: None) -> None:
    use_store(settings, "executions.storage.AtomicFileSystemStorage", location=str(closed_folder / "images"))
    assert [message.id for message in checks.image_store(None)] == ["executions.W001"]


@pytest.mark.parametrize("backend", ["nowhere.Storage", "executions.storage.Storage", 7])
def test_a_store_that_does_not_exist(settings: Settings, backend: str) -> None:
    use_store(settings, backend)
    assert "IMAGE_STORAGE" in only("E004")


def test_options_that_the_store_does_not_know(settings: Settings) -> None:
    use_store(settings, "executions.storage.AtomicFileSystemStorage", bucket="fires")
    assert "bucket" in only("E004")


def test_a_store_without_a_backend(settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "images": {"OPTIONS": {}}}
    assert "'BACKEND' is missing." in only("E004")


@pytest.mark.parametrize(
    "backend", ["django.core.files.storage.FileSystemStorage", "executions.tests.test_checks.KeepsBoth"]
)
def test_a_store_that_renames_instead_of_overwriting(settings: Settings, tmp_path: Path, backend: str) -> None:
    use_store(settings, backend, location=str(tmp_path))
    assert "another name" in only("E005")


def test_a_folder_that_overwrites_is_fine(settings: Settings, tmp_path: Path) -> None:
    use_store(settings, "django.core.files.storage.FileSystemStorage", location=str(tmp_path), allow_overwrite=True)
    assert found() == []


def test_a_store_that_cannot_be_written_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    use_store(settings, "executions.storage.AtomicFileSystemStorage", location=str(tmp_path / "file" / "images"))
    assert str(tmp_path / "file" / "images") in only("W001")
