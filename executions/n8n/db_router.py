"""n8n's database is foreign: no migration ever runs there."""

from typing import Any


class N8nRouter:
    """Keeps every model of ours on `default`. The alias `n8n` is only ever used by name, in source.py."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == "n8n" else None
