"""Where images lie on a local disk: whole or not at all.

Django's own local storage writes straight into the target, so a crash or a full disk leaves half an image under its
final name. Any other store of Django's works too, by IMAGE_STORAGE alone, as long as saving overwrites: S3 and Google
do by default (`file_overwrite`), Azure with `overwrite_files`. `executions.ingest.images` refuses one that does not.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible

PREFIX, SUFFIX = ".saving-", ".tmp"


@deconstructible(path="executions.storage.AtomicFileSystemStorage")
class AtomicFileSystemStorage(FileSystemStorage):
    """Local files that appear complete, durable and under exactly the name asked for, or not at all.

    `save` raises OSError when the disk is full or not writable; the name then still stands for what it did.
    """

    def __init__(
        self,
        location: str | Path | None = None,
        base_url: str | None = None,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
    ) -> None:
        super().__init__(location, base_url, file_permissions_mode, directory_permissions_mode, allow_overwrite=True)

    def _save(self, name: str, content: "File[bytes]") -> str:
        target = self.path(name)
        folder = os.path.dirname(target)
        self._make_folder(folder)
        # In the same folder, because a rename is atomic only within one file system.
        descriptor, temporary = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._write(file, content)
            os.replace(temporary, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_folder(folder)
        return name

    def _write(self, file: IO[bytes], content: "File[bytes]") -> None:
        """Content, rights and a sync: after a power cut, the name must not stand for an empty file."""
        for chunk in content.chunks():
            file.write(chunk)
        file.flush()
        if self.file_permissions_mode is not None:
            os.fchmod(file.fileno(), self.file_permissions_mode)
        os.fsync(file.fileno())

    def _make_folder(self, folder: str) -> None:
        """Make the folder and those above it durable; once in a thousand images."""
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            with suppress(FileExistsError):  # Another thread may make it at the same time.
                os.mkdir(path)
                if self.directory_permissions_mode is not None:
                    os.chmod(path, self.directory_permissions_mode)
            _sync_folder(os.path.dirname(path))


def is_leftover(name: str) -> bool:
    """Whether this file name is that of an unfinished save."""
    return name.startswith(PREFIX) and name.endswith(SUFFIX)


def _sync_folder(folder: str) -> None:
    """A rename is durable only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
