"""Figures as a table for the terminal, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from executions.bench.figures import BenchError, Figure, Target

HEADINGS = ("part", "figure", "measured", "reference", "beside", "ratio", "target", "")
VERDICTS = {True: "met", False: "MISSED", None: ""}
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def number(value: float) -> str:
    """Three significant digits, and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def target_text(target: Target | None, unit: str) -> str:
    """What is aimed at: `≤ 100 ms`, `≤ 1.3 ×`, `≤ reference + 10 ms`."""
    if target is None:
        return ""
    sign, bound = "≥" if target.at_least else "≤", f"{target.bound:g}"
    texts = {"value": f"{bound} {unit}", "ratio": f"{bound} ×", "difference": f"reference + {bound} {unit}"}
    return f"{sign} {texts[target.of]}"


def cells(figure: Figure) -> tuple[str, ...]:
    """The line of one figure, in the order of HEADINGS."""
    reference = "" if figure.reference is None else f"{number(figure.reference)} {figure.unit}"
    ratio = "" if figure.ratio is None else f"{number(figure.ratio)} ×"
    target = target_text(figure.target, figure.unit)
    verdict = VERDICTS[figure.is_met]
    measured = f"{number(figure.value)} {figure.unit}"
    return figure.part, figure.name, measured, reference, figure.beside, ratio, target, verdict


def table(figures: Sequence[Figure], machine: Sequence[str]) -> str:
    """Aligned columns, then the notes."""
    rows = [HEADINGS, *map(cells, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*machine, "", *lines, "", *notes(figures)])


def markdown(figures: Sequence[Figure], machine: Sequence[str]) -> str:
    """The same for docs/performance.md."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(cells(figure))} |" for figure in figures]
    return "\n".join([*(f"- {fact}" for fact in machine), "", *lines, "", *(f"- {note}" for note in notes(figures))])


def notes(figures: Sequence[Figure]) -> list[str]:
    return [f"{figure.part}, {figure.name}: {figure.note}" for figure in figures if figure.note]


def as_json(figures: Sequence[Figure], machine: Sequence[str]) -> str:
    """The figures with their ratios and verdicts, for other programs."""
    found = [asdict(each) | {"ratio": each.ratio, "is_met": each.is_met} for each in figures]
    return json.dumps({"machine": list(machine), "figures": found}, ensure_ascii=False, indent=1)


def put_into(document: Path, content: str) -> None:
    """Replace what stands between the two markers of a document. Raises BenchError when it lacks them."""
    text = document.read_text() if document.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{document} has no lines {BEGIN} and {END}: put them where the table shall stand.")
    document.write_text(f"{before}{BEGIN}\n{content}\n{END}{after}")
