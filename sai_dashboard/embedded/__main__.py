"""The embedded PostgreSQL on the command line.

python -m sai_dashboard.embedded start
python -m sai_dashboard.embedded status
python -m sai_dashboard.embedded stop
python -m sai_dashboard.embedded run -- pytest      (a temporary server; its addresses are in the environment)
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sai_dashboard.embedded import EmbeddedPostgres, EmbeddedPostgresError, temporary_server

DATABASES = {"DATABASE_URL": "sai", "N8N_DATABASE_URL": "n8n"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 on success, of `status` only when it runs, of `run` the command's own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    ours, command = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    parser = _parser()
    options = parser.parse_args(ours)
    if bool(command) != (options.action == "run"):
        parser.error("`run` needs a command after --, and nothing else takes one")
    try:
        if options.action == "run":
            return run(command, options.bin)
        return ACTIONS[options.action](EmbeddedPostgres(options.data, binaries=options.bin))
    except EmbeddedPostgresError as error:
        print(error, file=sys.stderr)
        return 1


def start(server: EmbeddedPostgres) -> int:
    server.start()
    for name in DATABASES.values():
        server.create_database(name)
    return status(server)


def stop(server: EmbeddedPostgres) -> int:
    server.stop()
    print(f"PostgreSQL in {server.root} is stopped.")
    return 0


def status(server: EmbeddedPostgres) -> int:
    if not server.is_running():
        print(f"PostgreSQL in {server.root} does not run.")
        return 1
    # The address without the password: this lands in terminals and logs.
    address = server.url("").rpartition("@")[2].rstrip("/")
    print(f"PostgreSQL in {server.root} answers at {address}; databases: {', '.join(DATABASES.values())}.")
    return 0


ACTIONS = {"start": start, "stop": stop, "status": status}


def run(command: Sequence[str], binaries: Path | None) -> int:
    """Run a command beside a temporary server."""
    with temporary_server(binaries) as server:
        environment = dict(os.environ)
        for variable, name in DATABASES.items():
            server.create_database(name)
            environment[variable] = server.url(name)
        return _call(command, environment)


def _call(command: Sequence[str], environment: dict[str, str]) -> int:
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The command got the same Ctrl-C; the server must outlive it.
                continue


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sai_dashboard.embedded",
        description=__doc__,
        usage="%(prog)s [-h] [--bin BIN] [--data DATA] {start,stop,status,run} [-- command ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=[*ACTIONS, "run"])
    parser.add_argument("--bin", type=Path, help="folder of PostgreSQL's programs; default: found by itself")
    parser.add_argument(
        "--data", type=Path, default=_default_root(), help="where the server lives; default: %(default)s"
    )
    return parser


def _default_root() -> Path:
    project = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("SAI_DATA_DIR") or project / ".data") / "postgres"


if __name__ == "__main__":
    sys.exit(main())
