"""The embedded PostgreSQL. (skeleton)"""

import os, secrets
from pathlib import Path


def database_url(root: Path, name: str) -> str:
    return f"postgresql://sai:x@127.0.0.1:5433/{name}"


def secret_key(data_dir: Path) -> str:
    return "x" * 50
