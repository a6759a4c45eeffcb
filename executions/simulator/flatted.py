"""Writes n8n's `flatted` text. The reader of the project is another module, so that each keeps the other honest."""

import json
from typing import Any

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode(root: Any) -> str:
    """The flatted form of a JSON value: a JSON array whose entry 0 is the root.

    Objects and arrays are stored once each (by identity), strings once by value; whoever holds one
    holds its index as a string. Numbers, booleans and null stay where they are.
    """
    entries: list[Any] = [root]
    places: dict[int | str, str] = {_key(root): "0"}

    def place(value: Any) -> Any:
        if not isinstance(value, str | dict | list):
            return value
        key = _key(value)
        if key not in places:
            places[key] = str(len(entries))
            entries.append(value)
        return places[key]

    lines: list[str] = []
    while len(lines) < len(entries):
        entry = entries[len(lines)]
        if isinstance(entry, dict):
            entry = {name: place(value) for name, value in entry.items()}
        elif isinstance(entry, list):
            entry = [place(value) for value in entry]
        lines.append(_dump(entry))
    return f"[{','.join(lines)}]"


def _key(value: Any) -> int | str:
    # `entries` keeps every object alive, so an id cannot be given twice.
    return value if isinstance(value, str) else id(value)
