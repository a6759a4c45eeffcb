"""The two log-ins of the demo."""

import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Create or reset the demo's accounts `admin` and `viewer`; their passwords are two lines of standard input.\n"
        "Used by `manage.py demo`. In a real deployment `manage.py createsuperuser` makes the first account."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        passwords = sys.stdin.read().split()
        if len(passwords) != 2:
            raise CommandError("Two passwords are expected on standard input, one a line: admin's and viewer's.")
        for name, password, is_admin in (("admin", passwords[0], True), ("viewer", passwords[1], False)):
            user, _ = get_user_model().objects.get_or_create(username=name)
            user.is_staff = user.is_superuser = is_admin
            if not user.check_password(password):  # Setting the same one again would end every session.
                user.set_password(password)
            user.save()
