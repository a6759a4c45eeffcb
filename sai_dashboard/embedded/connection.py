"""Where the embedded PostgreSQL answers, and other secrets that are made once and kept in files of mode 0600."""

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from sai_dashboard.embedded.errors import EmbeddedPostgresError

USER = "sai"
HOST = "127.0.0.1"
NO_SERVER_YET = "no embedded PostgreSQL yet: run make demo or set DATABASE_URL"


@dataclass(frozen=True)
class Connection:
    """How to reach the server: the content of `connection.json`."""

    port: int
    password: str

    @classmethod
    def read(cls, path: Path) -> "Connection | None":
        """The stored one, or None when nothing is stored. Raises EmbeddedPostgresError when it cannot be read."""
        try:
            stored = json.loads(path.read_text())
            return cls(port=int(stored["port"]), password=str(stored["password"]))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise EmbeddedPostgresError(unreadable(path)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise EmbeddedPostgresError(f"{path} is damaged ({error!r}): restore it from a backup.") from error

    def write(self, path: Path) -> None:
        """Store it atomically; only its owner may read it."""
        os.replace(_private_file(path, json.dumps(asdict(self))), path)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{database}"


def database_url(root: Path, name: str) -> str:
    """The address of one database of the server below `root`, for settings: never fails, needs no running server.

    Without a server, or one that somebody else owns, it is an address whose connection error says what to do.
    """
    try:
        connection = Connection.read(root / "connection.json")
    except EmbeddedPostgresError as error:
        return _explaining(str(error), name)
    return connection.url(name) if connection else _explaining(NO_SERVER_YET, name)


def _explaining(sentence: str, name: str) -> str:
    """An address that leads nowhere: libpq takes the sentence for a socket's folder and shows it in its error."""
    # A comma would separate several hosts.
    return f"postgresql:///{name}?host={quote('/' + sentence.replace(',', ';'), safe='')}"


def secret_key(data_dir: Path) -> str:
    """The key that signs sessions, made at the first call and kept in `data_dir/secret_key`.

    Raises EmbeddedPostgresError when it can be neither read nor made.
    """
    path = data_dir / "secret_key"
    try:
        if not path.exists():
            _create_once(path, secrets.token_urlsafe(50))
        return path.read_text().strip()
    except OSError as error:
        raise EmbeddedPostgresError(f"{unreadable(path)} Or set SECRET_KEY.") from error


def unreadable(path: Path) -> str:
    return f"{path} cannot be read by this user: run the command as the user who first ran it."


def _create_once(path: Path, text: str) -> None:
    """Of several processes that start at once one wins, and none sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _private_file(path, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _private_file(beside: Path, text: str) -> Path:
    """A new file of mode 0600 in the folder of `beside`, safely on the disk."""
    handle, name = tempfile.mkstemp(prefix=f".{beside.name}-", dir=beside.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
