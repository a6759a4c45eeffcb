"""Install, verify, remove or print the two triggers in n8n's database."""

import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from executions.n8n import triggers
from executions.n8n.connect import connect


class Command(BaseCommand):
    help = (
        "Install the two triggers that tell the dashboard of every execution (idempotent).\n\n"
        "The owner of n8n's tables has to do it: set N8N_ADMIN_DATABASE_URL for this one command,\n"
        "or hand the SQL to your database administrator:\n\n"
        "  manage.py install_n8n_triggers\n"
        "  manage.py install_n8n_triggers --check\n"
        "  manage.py install_n8n_triggers --sql | psql n8n"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--check", action="store_true", help="only verify; exit code 1 when something is wrong")
        group.add_argument("--remove", action="store_true", help="remove the triggers and their functions")
        group.add_argument("--sql", action="store_true", help="only print the SQL; touches nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["sql"]:
                self.stdout.write(triggers.sql(settings.N8N_WORKFLOW_IDS))
                return
            with connect(os.environ.get("N8N_ADMIN_DATABASE_URL")) as connection:
                self._act(connection, options)
        except triggers.TriggerError as error:
            raise CommandError(str(error)) from error
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
            raise CommandError(
                "This role may not create triggers on n8n's table. Set N8N_ADMIN_DATABASE_URL to an address"
                " with the role that owns it, or give the output of --sql to your administrator."
            ) from error
        except psycopg.errors.LockNotAvailable as error:
            raise CommandError("n8n's table was busy for 3 seconds; nothing was changed. Try again.") from error
        except psycopg.OperationalError as error:
            raise CommandError(f"n8n's database cannot be reached: {error}") from error

    def _act(self, connection: psycopg.Connection, options: dict[str, Any]) -> None:
        if options["remove"]:
            removed = triggers.remove(connection)
            self.stdout.write("Removed the triggers." if removed else "No triggers of ours were there.")
            return
        problems = triggers.check(connection, settings.N8N_WORKFLOW_IDS)
        if options["check"]:
            if problems:
                raise CommandError("\n".join([*problems, "Run manage.py install_n8n_triggers to repair."]))
            self.stdout.write("Both triggers are in place.")
            return
        for problem in problems:
            self.stdout.write(f"Repairing: {problem}")
        triggers.install(connection, settings.N8N_WORKFLOW_IDS)
        self.stdout.write(f"Both triggers are in place for {', '.join(settings.N8N_WORKFLOW_IDS)}.")
