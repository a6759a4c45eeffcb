"""Which account runs the server: PostgreSQL refuses to run as root.

An ordinary user runs it as itself. Root runs it as another account when there is one that can read the programs and
reach the folder; else as itself inside a user namespace, where it is no longer root. No folder is opened for that.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sai_dashboard.embedded.errors import EmbeddedPostgresError

PREFERRED = ("postgres", "nobody")
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@dataclass(frozen=True)
class Account:
    """Who runs the programs, and how: arguments in front of a command, and options of `subprocess`."""

    owner: int
    prefix: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def ourselves(cls) -> "Account":
        return cls(os.geteuid())

    @classmethod
    def namespace(cls) -> "Account":
        return cls(os.geteuid(), prefix=NAMESPACE)

    @classmethod
    def other(cls, uid: int, gid: int) -> "Account":
        return cls(uid, options={"user": uid, "group": gid, "extra_groups": []})

    def can_run(self, binaries: Path, root: Path) -> bool:
        """Whether it can run the programs and go through the folder that holds the data."""
        test = ["sh", "-c", '"$0" --version && cd "$1"', str(binaries / "postgres"), str(root)]
        try:
            return subprocess.run([*self.prefix, *test], cwd="/", capture_output=True, **self.options).returncode == 0
        except OSError:
            return False


def choose_account(binaries: Path, root: Path, data: Path) -> Account:
    """The account that owns the data folder, or that shall own a new one.

    Raises EmbeddedPostgresError when the folder belongs to somebody else, or root finds no account to run it.
    """
    if data.exists():
        return _owner(binaries, root, data)
    if os.geteuid() != 0:
        return Account.ourselves()
    for account in [*_others(), Account.namespace()]:
        if account.can_run(binaries, root):
            return account
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, no other user ({', '.join(PREFERRED)}) can reach both {binaries} and {root},"
        " and user namespaces are not allowed here. Run the command as an ordinary user, or set DATABASE_URL."
    )


def _owner(binaries: Path, root: Path, data: Path) -> Account:
    status = data.stat()
    if status.st_uid == os.geteuid():
        account = Account.ourselves() if os.geteuid() != 0 else Account.namespace()
    elif os.geteuid() == 0:
        account = Account.other(status.st_uid, status.st_gid)
    else:
        raise EmbeddedPostgresError(
            f"{data} belongs to {user_name(status.st_uid)}: run the command as the user who first ran it, or move"
            f" {root} away to begin with an empty database."
        )
    if not account.can_run(binaries, root):
        raise EmbeddedPostgresError(
            f"{data} belongs to {user_name(status.st_uid)}, who cannot run {binaries / 'postgres'} or not reach {root}."
        )
    return account


def _others() -> list[Account]:
    found = []
    for name in PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        found.append(Account.other(entry.pw_uid, entry.pw_gid))
    return found


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
