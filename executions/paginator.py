"""Counting that stays cheap at a million rows."""

import json

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.utils.functional import cached_property

EXACT_UP_TO = 10_000


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]
    """Exact up to EXACT_UP_TO rows; above that the planner's own estimate, which costs nothing."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        counted: int = rows.order_by()[: EXACT_UP_TO + 1].count()
        return counted if counted <= EXACT_UP_TO else max(counted, estimate(rows))


def estimate(rows: "QuerySet[Model]") -> int:
    """How many rows the planner expects."""
    plan = json.loads(rows.order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])
