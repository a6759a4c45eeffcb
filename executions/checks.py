"""System checks: what a wrong configuration would otherwise break only when the first execution arrives.

`manage.py check` and every command run them; none touches a database. A value that cannot be read at all stops the
process earlier, in the settings.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.files.storage import Storage, storages

from executions.n8n import triggers
from executions.n8n.payload.nodes import NodeNames
from executions.storage import AtomicFileSystemStorage

FOLDERS = {"N8N_BINARY_DATA_PATH": "n8n's binary data", "N8N_STORAGE_PATH": "n8n's execution data"}


def workflow_ids(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001: no workflow, or an id that n8n could not have made."""
    try:
        triggers.sql(settings.N8N_WORKFLOW_IDS)
    except triggers.TriggerError as error:
        return [Error(str(error), hint="Separate several ids by commas, without spaces.", id="executions.E001")]
    return []


def node_names(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E002: a role that does not exist, or names that are none."""
    hint = 'Write for example N8N_NODE_NAMES=\'{"detector": ["Smoke detector", "YOLO"]}\'; see docs/n8n-contract.md.'
    try:
        NodeNames.from_settings(settings.N8N_NODE_NAMES)
    except ValueError as error:
        return [Error(str(error), hint=hint, id="executions.E002")]
    except TypeError:
        pass  # Something that is no list; the loop below says of which role.
    return [
        Error(f"N8N_NODE_NAMES gives the role {role!r} no list of names: {names!r}.", hint=hint, id="executions.E002")
        for role, names in settings.N8N_NODE_NAMES.items()
        if not _are_names(names)
    ]


def source_folders(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E003: a folder of n8n that is configured, but is no folder or cannot be read by this user."""
    return [
        Error(
            f"{name} is {folder}, {trouble}.",
            hint=f"It has to be the folder of {meaning}, readable for the user that runs the dashboard.",
            id="executions.E003",
        )
        for name, meaning in FOLDERS.items()
        if (folder := getattr(settings, name)) is not None and (trouble := _trouble(folder))
    ]


def image_store(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E004: no such store; E005: one that renames instead of overwriting; W001: a folder that cannot be written."""
    try:
        storage = storages["images"]
    except Exception as error:  # Each backend has exceptions of its own.
        hint = "IMAGE_STORAGE takes an entry of Django's STORAGES: BACKEND, and OPTIONS that the backend knows."
        return [Error(f"IMAGE_STORAGE names no image store: {_said(error)}", hint=hint, id="executions.E004")]
    if not _overwrites(storage):
        return [
            Error(
                "The image store gives a file another name when its own is taken: an image could not be stored again.",
                hint="In OPTIONS of IMAGE_STORAGE set file_overwrite (S3, Google), overwrite_files (Azure) or"
                " allow_overwrite (a folder) to true.",
                id="executions.E005",
            )
        ]
    if isinstance(storage, AtomicFileSystemStorage) and not _is_writable(Path(storage.location)):
        return [
            Warning(
                f"The image store {storage.location} cannot be written by this user.",
                hint="Only processes that show pages can do without. Correct IMAGE_ROOT, or the folder's owner.",
                id="executions.W001",
            )
        ]
    return []


ALL = (workflow_ids, node_names, source_folders, image_store)


def _are_names(names: object) -> bool:
    """One name, or a list of them; none at all is a way to switch a role off."""
    return isinstance(names, str) or (isinstance(names, list) and all(isinstance(name, str) for name in names))


def _said(error: Exception) -> str:
    """A KeyError says only the key."""
    return f"{error} is missing." if isinstance(error, KeyError) else str(error)


def _trouble(folder: Path) -> str | None:
    if not os.path.isdir(folder):  # Path.is_dir raises when a parent is closed to us.
        return "which is no folder, or not reachable"
    return None if os.access(folder, os.R_OK | os.X_OK, effective_ids=True) else "which this user may not read"


def _overwrites(storage: Storage) -> bool:
    """Only what says that it does not: the backends of django-storages and Django's own have these attributes."""
    if getattr(storage, "_allow_overwrite", True) is False:
        return False
    return all(getattr(storage, name, True) is not False for name in ("file_overwrite", "overwrite_files"))


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in it; a folder that is still missing, whether it can be made."""
    existing = next((path for path in (folder, *folder.parents) if os.path.exists(path)), folder)
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK, effective_ids=True)
