"""The local image store: whole files under exactly the asked name, or none at all."""

import io
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from pytest_django import Settings

from executions.storage import AtomicFileSystemStorage, is_leftover

ROOT = Path(__file__).resolve().parents[2]
NAME = "original/0/7.jpg"
# Saves as the store does, in a process of its own: what is done to it must not hit the test run.
SAVE = """
import os, resource, signal, sys
from django.conf import settings
settings.configure()
from django.core.files.base import ContentFile
from executions.storage import AtomicFileSystemStorage
{before}
AtomicFileSystemStorage(sys.argv[1]).save("original/0/7.jpg", ContentFile(b"n" * 1_000_000))
"""
DIE_BEFORE_RENAME = "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)"
LIMIT_FILE_SIZE = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
MOUNT_SMALL_DISK = (
    'mount -t tmpfs -o size=256k none "$1" && mkdir -p "$1/original/0" && printf old > "$1/original/0/7.jpg"'
)


class BrokenSource(io.BytesIO):
    """A source that fails after its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 0:
            raise ConnectionResetError("The other side went away.")
        return super().read(size)


@pytest.fixture
def store(tmp_path: Path) -> AtomicFileSystemStorage:
    return AtomicFileSystemStorage(tmp_path)


def save_in_a_process(folder: Path, before: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SAVE.format(before=before), str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_path_that_leaves_the_store_is_refused(store: AtomicFileSystemStorage, tmp_path: Path) -> None:
    for name in ("../outside.jpg", "/etc/outside.jpg", "original/../../outside.jpg", "original/..", ""):
        with pytest.raises((SuspiciousFileOperation, ValueError)):
            store.save(name, ContentFile(b"x"))
    assert files(tmp_path) == {}
    assert not (tmp_path.parent / "outside.jpg").exists()


def test_a_link_out_of_the_store_is_replaced_and_not_followed(
    store: AtomicFileSystemStorage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "precious"
    outside.write_bytes(b"precious")
    store.save("a/first", ContentFile(b"x"))
    Path(store.path("a/link")).symlink_to(outside)
    store.save("a/link", ContentFile(b"new"))
    assert outside.read_bytes() == b"precious"
    assert Path(store.path("a/link")).read_bytes() == b"new"


def test_saved_bytes_come_back_under_exactly_the_asked_name(store: AtomicFileSystemStorage, tmp_path: Path) -> None:
    assert store.save(NAME, ContentFile(b"first")) == NAME
    assert files(tmp_path) == {NAME: b"first"}


def test_saving_again_replaces_the_file(store: AtomicFileSystemStorage, tmp_path: Path) -> None:
    store.save(NAME, ContentFile(b"a longer first content"))
    assert store.save(NAME, ContentFile(b"second")) == NAME
    assert files(tmp_path) == {NAME: b"second"}


def test_the_web_server_may_read_the_files(store: AtomicFileSystemStorage) -> None:
    store.save(NAME, ContentFile(b"x"))
    assert stat.S_IMODE(os.stat(store.path(NAME)).st_mode) == 0o644


def test_stated_rights_are_given_to_files_and_folders(tmp_path: Path) -> None:
    store = AtomicFileSystemStorage(tmp_path, file_permissions_mode=0o640, directory_permissions_mode=0o750)
    store.save(NAME, ContentFile(b"x"))
    path = Path(store.path(NAME))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in list(path.parents)[:2]] == [0o750, 0o750]


def test_a_failing_source_leaves_the_old_file_and_nothing_else(store: AtomicFileSystemStorage, tmp_path: Path) -> None:
    store.save(NAME, ContentFile(b"old"))
    with pytest.raises(ConnectionResetError):
        store.save(NAME, File(BrokenSource(b"half")))
    assert files(tmp_path) == {NAME: b"old"}


def test_a_full_disk_raises_and_leaves_no_part_of_the_file(tmp_path: Path) -> None:
    saved = save_in_a_process(tmp_path, LIMIT_FILE_SIZE)
    assert saved.returncode == 1
    assert "OSError" in saved.stderr
    assert files(tmp_path) == {}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A disk of 256 KiB, mounted where only the child process sees it."""
    script = f'{MOUNT_SMALL_DISK} || exit 77; "$2" -c "$3" "$1"; cd "$1"; find . -type f; cat original/0/7.jpg'
    arguments = [str(tmp_path), sys.executable, SAVE.format(before="")]
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"No mount namespace of one's own here: {done.stderr}")
    assert "No space left on device" in done.stderr
    assert done.stdout == "./original/0/7.jpg\nold"


def test_a_process_killed_before_the_rename_leaves_no_half_file_under_the_name(tmp_path: Path) -> None:
    store = AtomicFileSystemStorage(tmp_path)
    store.save(NAME, ContentFile(b"old"))
    assert save_in_a_process(tmp_path, DIE_BEFORE_RENAME).returncode == -9
    left = files(tmp_path)
    assert left.pop(NAME) == b"old"
    assert [is_leftover(Path(name).name) for name in left] == [True]
    store.save(NAME, ContentFile(b"new"))
    assert files(tmp_path)[NAME] == b"new"


def test_no_reader_ever_sees_a_part_of_a_file(store: AtomicFileSystemStorage) -> None:
    contents = [bytes([number]) * 300_000 for number in range(20)]
    store.save(NAME, ContentFile(contents[0]))

    def save_all() -> None:
        for content in contents:
            store.save(NAME, ContentFile(content))

    writers = [threading.Thread(target=save_all) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert Path(store.path(NAME)).read_bytes() in contents
    for writer in writers:
        writer.join()


def test_threads_that_make_the_same_folder_do_not_disturb_each_other(
    store: AtomicFileSystemStorage, tmp_path: Path
) -> None:
    names = [f"webp/9/{number}.webp" for number in range(8)]
    threads = [threading.Thread(target=store.save, args=(name, ContentFile(b"x"))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(files(tmp_path)) == names


def test_the_settings_use_this_store_for_images(settings: Settings) -> None:
    store = storages.create_storage(settings.STORAGES["images"])
    assert isinstance(store, AtomicFileSystemStorage)
    assert Path(store.location) == settings.IMAGE_ROOT.resolve()
