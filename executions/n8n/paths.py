"""Paths that n8n's database names. They are foreign text: none may lead out of the folder that was configured."""

from pathlib import Path


class PathRefused(ValueError):
    """A path leads out of its folder, or is none."""


def below(folder: Path, relative: str) -> Path:
    """The real path of `relative` inside `folder`, links resolved; it need not exist. Raises PathRefused."""
    try:
        root = folder.resolve()
        path = (root / relative).resolve()
    except (ValueError, RuntimeError, OSError) as error:
        raise PathRefused(f"n8n names a file by something that is no path: {relative[:100]!r}.") from error
    if path == root or not path.is_relative_to(root):
        raise PathRefused(f"n8n names a file outside the configured folder: {relative[:100]!r}. It was not read.")
    return path
