"""Does every execution still have its image, byte for byte?"""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from executions.ingest.image_check import Finding, check, with_images
from executions.ingest.image_repair import Outcome, repair
from executions.management.base import DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Compare the image store with the database: missing, damaged (by checksum) and superfluous files.\n\n"
        "One line for each file with something wrong; exit code 1 when anything is, and was not put right.\n"
        "--repair makes previews and thumbnails again from the original, has missing or damaged originals read\n"
        "again from n8n by the extraction workers, and removes what interrupted saves left. It deletes no image.\n\n"
        "  manage.py check_images\n"
        "  manage.py check_images --quick --repair"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="put right what can be")
        parser.add_argument(
            "--quick", action="store_true", help="look only which files are there, without reading them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found: Counter[str] = Counter()
        outcomes: Counter[Outcome] = Counter()
        try:
            with tqdm(total=with_images().count(), unit=" executions", desc="Checked", disable=None) as progress:
                for findings in check(quick=options["quick"], on_rows=progress.update):
                    found.update(finding.kind for finding in findings)
                    outcome = repair(findings) if options["repair"] else Outcome.LEFT
                    outcomes[outcome] += len(findings)
                    self._report(findings, outcome)
        except OSError as error:
            raise CommandError(f"The image store cannot be read or written: {error}") from error
        self._summarize(found, outcomes, is_repair=options["repair"])

    def _report(self, findings: list[Finding], outcome: Outcome) -> None:
        with tqdm.external_write_mode():
            for finding in findings:
                self.stdout.write(f"{finding.path}: {finding.kind} ({outcome})")

    def _summarize(self, found: Counter[str], outcomes: Counter[Outcome], *, is_repair: bool) -> None:
        if not found:
            self.stdout.write("Every image is there and whole, and there is no file too many.")
            return
        self.stdout.write("Found: " + "; ".join(f"{count} x {kind}" for kind, count in sorted(found.items())) + ".")
        if not is_repair:
            raise CommandError("The image store and the database differ. Run manage.py check_images --repair.")
        self.stdout.write("; ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) + ".")
        if outcomes[Outcome.REQUESTED]:
            raise CommandError("When the extraction queue is empty, run this again to see whether n8n still had them.")
        if outcomes[Outcome.LEFT]:
            raise CommandError("Not everything could be put right; the lines above and the log say what and why.")
