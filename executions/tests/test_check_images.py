"""check_images: silent when all is well, exact about what is not, and careful in repair."""

import io
import os
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from executions.ingest import images
from executions.ingest.image_check import Finding, Kind, check
from executions.models import Execution, QueueItem
from executions.tests.frames import jpeg

pytestmark = pytest.mark.django_db

ORIGINAL = jpeg(400, 300)
DERIVED = images.derive(ORIGINAL, max_bytes=10**7, max_pixels=10**7)


@pytest.fixture(autouse=True)
def store(image_root: Path) -> Path:
    return image_root


def captured(execution_id: int, **values: Any) -> Execution:
    """An execution with its three files in the store."""
    stored = images.store(execution_id, ORIGINAL, DERIVED)
    return Execution.objects.create(
        execution_id=execution_id,
        workflow_id="w",
        status="success",
        image_original_path=stored.original_path,
        image_webp_path=stored.webp_path,
        image_thumb_path=stored.thumb_path,
        image_size_bytes=len(ORIGINAL),
        image_sha256=sha256(ORIGINAL).hexdigest(),
        **values,
    )


def run(*options: str) -> tuple[str, str]:
    """What the command prints, and the error it ends with ("" for exit code 0)."""
    out, error = io.StringIO(), ""
    try:
        call_command("check_images", *options, stdout=out)
    except CommandError as failed:
        assert failed.returncode == 1
        error = str(failed)
    return out.getvalue(), error


def findings(*, quick: bool = False) -> list[Finding]:
    return [finding for group in check(quick=quick) for finding in group]


def put(store: Path, name: str, content: bytes = b"x", age_s: float = 7200) -> Path:
    """A file that has been in the store for a while."""
    path = store / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def requested() -> list[tuple[int, str, int]]:
    return list(QueueItem.objects.values_list("execution_id", "phase", "priority"))


# --- Nothing to find -----------------------------------------------------------------------------


def test_an_empty_store_and_an_empty_database_agree() -> None:
    assert run() == ("Every image is there and whole, and there is no file too many.\n", "")


def test_whole_images_and_executions_without_one_are_silent() -> None:
    for execution_id in (1, 999, 1000, 5_000_001):
        captured(execution_id)
    Execution.objects.create(execution_id=2, workflow_id="w", status="new")
    out, error = run("--repair")
    assert (out.startswith("Every image"), error, requested()) == (True, "", [])


def test_a_fresh_file_that_no_row_names_yet_is_left_alone(store: Path) -> None:
    put(store, "original/0/7.jpg", age_s=60)
    put(store, "original/0/.saving-abc.tmp", age_s=60)
    assert findings() == []


# --- What is found -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "kind"),
    [
        ("original/0/7.jpg", Kind.MISSING_ORIGINAL),
        ("webp/0/7.webp", Kind.MISSING_DERIVED),
        ("thumb/0/7.webp", Kind.MISSING_DERIVED),
    ],
)
def test_a_missing_file_is_found(store: Path, lost: str, kind: Kind) -> None:
    captured(6)
    captured(7)
    (store / lost).unlink()
    assert findings() == findings(quick=True) == [Finding(kind, lost, 7)]
    out, error = run()
    assert f"{lost}: {kind}" in out
    assert "--repair" in error


@pytest.mark.parametrize("content", [ORIGINAL[:-1], b"", ORIGINAL[:500] + b"X" + ORIGINAL[501:]])
def test_an_original_with_other_bytes_is_found_unless_in_a_hurry(store: Path, content: bytes) -> None:
    captured(7)
    put(store, "original/0/7.jpg", content)
    assert findings() == [Finding(Kind.DAMAGED_ORIGINAL, "original/0/7.jpg", 7)]
    assert findings(quick=True) == []


@pytest.mark.parametrize("content", [DERIVED.thumb[:-5], b"", b"words instead of an image"])
def test_a_damaged_thumbnail_is_found(store: Path, content: bytes) -> None:
    captured(7)
    put(store, "thumb/0/7.webp", content)
    assert findings() == [Finding(Kind.DAMAGED_DERIVED, "thumb/0/7.webp", 7)]


def test_files_that_nobody_refers_to_are_found_wherever_they_lie(store: Path) -> None:
    captured(7)
    names = ["a.jpg", "original/b.jpg", "original/0/8.jpg", "original/0/deep/c.jpg", "webp/007/d.webp", "x/y/e.jpg"]
    for name in names:
        put(store, name)
    assert sorted(finding.path for finding in findings()) == sorted(names)
    assert {finding.kind for finding in findings()} == {Kind.ORPHAN}


def test_everything_missing_is_found_when_the_store_is_gone(store: Path) -> None:
    captured(7)
    store.rename(store.parent / "elsewhere")
    assert [finding.kind for finding in findings()] == [Kind.MISSING_ORIGINAL] + [Kind.MISSING_DERIVED] * 2


def test_a_store_that_cannot_be_read_ends_the_check_with_a_sentence(store: Path) -> None:
    store.write_bytes(b"A file stands where the folder should be.")
    assert run()[1].startswith("The image store cannot be read or written: ")


def test_a_path_elsewhere_in_the_store_is_honoured(store: Path) -> None:
    captured(7)
    (store / "moved").mkdir()
    (store / "original/0/7.jpg").rename(store / "moved/7.jpg")
    Execution.objects.update(image_original_path="moved/7.jpg")
    assert findings() == []


def test_any_kind_of_store_is_checked(settings: Settings) -> None:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "images": memory}
    captured(7)
    captured(1001)
    assert findings() == []
    storages["images"].delete("thumb/1/1001.webp")
    assert findings() == [Finding(Kind.MISSING_DERIVED, "thumb/1/1001.webp", 1001)]
    assert run("--repair")[1] == ""
    assert findings() == []


def test_each_folder_costs_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for execution_id in [*range(2000, 2010), *range(7990, 8010)]:
        captured(execution_id)
    with django_assert_num_queries(3 * 2 + 1):
        assert findings() == []


# --- Repair --------------------------------------------------------------------------------------


def test_without_repair_nothing_is_changed(store: Path) -> None:
    captured(7)
    (store / "thumb/0/7.webp").unlink()
    leftover = put(store, "webp/0/.saving-abc.tmp")
    run()
    assert leftover.exists()
    assert not (store / "thumb/0/7.webp").exists()
    assert requested() == []


def test_smaller_renditions_are_made_again_from_the_original(store: Path) -> None:
    captured(7)
    (store / "webp/0/7.webp").unlink()
    put(store, "thumb/0/7.webp", b"")
    before = (store / "original/0/7.jpg").stat()
    out, error = run("--repair")
    assert (error, "2 repaired" in out) == ("", True)
    assert (store / "webp/0/7.webp").read_bytes() == DERIVED.webp
    assert (store / "thumb/0/7.webp").read_bytes() == DERIVED.thumb
    assert (store / "original/0/7.jpg").stat() == before
    assert requested() == []


def test_a_row_that_names_no_thumbnail_gets_one(store: Path) -> None:
    captured(7)
    Execution.objects.update(image_thumb_path=None)
    (store / "thumb/0/7.webp").unlink()
    assert run("--repair")[1] == ""
    assert Execution.objects.get().image_thumb_path == "thumb/0/7.webp"
    assert findings() == []


def test_a_lost_original_is_asked_for_again_and_not_yet_called_repaired(store: Path) -> None:
    captured(7)
    captured(8)
    (store / "original/0/7.jpg").unlink()
    put(store, "original/0/8.jpg", ORIGINAL[:-1])
    out, error = run("--repair")
    assert "2 asked for again from n8n" in out
    assert "run this again" in error
    assert requested() == [(7, "created", 9), (8, "created", 9)]
    assert (store / "original/0/8.jpg").exists()


def test_nothing_is_derived_from_a_damaged_original(store: Path) -> None:
    captured(7)
    put(store, "original/0/7.jpg", jpeg(400, 300, seed=5))
    (store / "thumb/0/7.webp").unlink()
    run("--quick", "--repair")
    assert requested() == [(7, "created", 9)]
    assert not (store / "thumb/0/7.webp").exists()


def test_an_original_that_n8n_no_longer_has_is_called_lost(store: Path) -> None:
    captured(7, source_deleted_at=timezone.now())
    (store / "original/0/7.jpg").unlink()
    out, error = run("--repair")
    assert "original/0/7.jpg: original missing (left as it is)" in out
    assert "Not everything" in error
    assert requested() == []


def test_an_original_that_is_refused_now_is_left_and_the_rest_goes_on(store: Path, settings: Settings) -> None:
    captured(7)
    captured(8, source_deleted_at=timezone.now())
    for name in ("thumb/0/7.webp", "thumb/0/8.webp"):
        (store / name).unlink()
    settings.IMAGE_MAX_PIXELS = 1000
    assert "2 left as it is" in run("--repair")[0]


def test_remains_of_an_interrupted_save_are_removed_and_images_never(store: Path) -> None:
    leftover = put(store, "original/0/.saving-abc.tmp")
    orphan = put(store, "original/0/8.jpg")
    out, error = run("--repair")
    assert not leftover.exists()
    assert orphan.exists()
    assert "1 left as it is; 1 repaired" in out
    assert "Not everything" in error
