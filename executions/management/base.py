"""What the commands that need a database have in common."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError


class DatabaseCommand(BaseCommand):
    """A lost or unreachable database ends the command with a sentence, not with a traceback.

    Help texts keep their line breaks: each ends with examples.
    """

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                f"A database cannot be reached ({str(error).strip()}). Nothing is lost: check DATABASE_URL and"
                " N8N_DATABASE_URL, and run the command again."
            ) from error
