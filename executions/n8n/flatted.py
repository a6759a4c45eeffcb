"""n8n's `data` column: JSON flattened into one array, so that equal strings and shared objects are stored once.

Entry 0 is the root. Inside objects and arrays every string is an index into the array; numbers, booleans and null
stand for themselves. An entry that is itself a string is that string, even when it consists of digits.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

Shallow = dict[str, Any] | list[Any] | str | int | float | bool | None
"""An entry: a scalar as it is, or a container whose children are still references. Only a Document reads those."""

HALF_PAIR = re.compile("[\ud800-\udfff]")
MAX_VALUES = 1_000_000
MAX_DEPTH = 10_000

_ROOT: Any = object()


class MalformedData(ValueError):
    """The text is not flatted JSON. The message says where it is broken."""


class Document:
    """A decoded `data` text. Nothing below the array is resolved until somebody asks for it."""

    __slots__ = ("_entries",)

    def __init__(self, entries: list[Any]) -> None:
        self._entries = entries

    @property
    def root(self) -> Shallow:
        return self._enter(self._entries[0])

    def get(self, *path: str | int, start: Shallow = _ROOT) -> Shallow:
        """The entry at the end of the path from the root, or from `start`; None where the path does not exist.

        Raises MalformedData for a reference that points nowhere.
        """
        value = self.root if start is _ROOT else start
        for step in path:
            value = self._enter(self._follow(_child(value, step)))
        return value

    def items(self, container: Shallow) -> Iterator[tuple[str, Shallow]]:
        """The keys and entries of an object; nothing for any other value."""
        if isinstance(container, dict):
            for key, child in container.items():
                yield clean(key), self._enter(self._follow(child))

    def elements(self, container: Shallow) -> Iterator[Shallow]:
        """The entries of an array; nothing for any other value."""
        if isinstance(container, list):
            for child in container:
                yield self._enter(self._follow(child))

    def resolve(
        self,
        value: Shallow,
        *,
        skip: Collection[str] = frozenset(),
        max_values: int = MAX_VALUES,
        max_depth: int = MAX_DEPTH,
    ) -> Any:
        """The plain Python value below an entry, without the keys in `skip`.

        A reference back to one of its own parents becomes None. What exceeds the limits is left out: shared objects
        are copied, so a few lines of text could otherwise unfold into gigabytes.
        """
        return _Resolver(self, skip, max_values, max_depth).run(value)

    def _follow(self, child: Any) -> Any:
        """The entry that a child of a container stands for."""
        if not isinstance(child, str):
            return child
        if not (child.isascii() and child.isdigit() and len(child) <= 9):
            raise MalformedData(f"{child[:40]!r} is no reference to an entry.")
        index = int(child)
        if index >= len(self._entries):
            raise MalformedData(f"Entry {index} is referred to, but there are only {len(self._entries)}.")
        return self._entries[index]

    @staticmethod
    def _enter(entry: Any) -> Shallow:
        return clean(entry) if isinstance(entry, str) else entry


class _Resolver:
    """Copies a branch without recursion: n8n stores what a camera sends, however deep."""

    def __init__(self, document: Document, skip: Collection[str], max_values: int, max_depth: int) -> None:
        self._document = document
        self._skip = skip
        self._left = max_values
        self._max_depth = max_depth
        self._stack: list[tuple[int, Any, Iterator[tuple[str | None, Any]]]] = []
        self._open: set[int] = set()

    def run(self, value: Shallow) -> Any:
        result = self._start(value)
        while self._stack:
            identity, target, children = self._stack[-1]
            step = next(children, None)
            if step is None or self._left <= 0:
                self._stack.pop()
                self._open.discard(identity)
                continue
            key, child = step
            if key in self._skip:
                continue
            copy = self._start(self._document._enter(self._document._follow(child)))
            if key is None:
                target.append(copy)
            else:
                target[key] = copy
        return result

    def _start(self, entry: Shallow) -> Any:
        """The copy of an entry; a container's copy is filled by the loop."""
        self._left -= 1
        if not isinstance(entry, dict | list):
            return entry
        if id(entry) in self._open:
            return None
        target: dict[str, Any] | list[Any] = {} if isinstance(entry, dict) else []
        if len(self._stack) < self._max_depth:
            self._open.add(id(entry))
            self._stack.append((id(entry), target, _children(entry)))
        return target


def _children(entry: dict[str, Any] | list[Any]) -> Iterator[tuple[str | None, Any]]:
    if isinstance(entry, dict):
        return ((clean(key), child) for key, child in entry.items())
    return ((None, child) for child in entry)


def _child(value: Shallow, step: str | int) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
        return value[step]
    return None


def clean(text: str) -> str:
    """Text that PostgreSQL accepts: without NUL, and without halves of surrogate pairs."""
    if text.isascii():
        return text.replace("\x00", "") if "\x00" in text else text
    return HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text.replace("\x00", ""))


def decode(text: str) -> Document:
    """Raises MalformedData for text that is not a flatted array. NaN and Infinity, which are no JSON, become None."""
    try:
        entries = json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise MalformedData("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise MalformedData(f"It is not JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise MalformedData("It is not a list of entries.")
    return Document(entries)


def encode(value: Any) -> str:
    """The text that n8n would write for a plain value: breadth first, equal strings and shared objects once."""
    entries: list[str] = []
    queue: list[Any] = [value]
    known: dict[tuple[bool, Any], int] = {}

    def reference(child: Any) -> Any:
        if isinstance(child, float) and child.is_integer():
            return int(child)  # As JavaScript writes it.
        if not isinstance(child, str | dict | list | tuple):
            return child
        key = (True, child) if isinstance(child, str) else (False, id(child))
        if key not in known:
            known[key] = len(queue)
            queue.append(child)
        return str(known[key])

    if isinstance(value, dict | list | tuple):
        known[(False, id(value))] = 0
    while len(entries) < len(queue):
        entry = queue[len(entries)]
        if isinstance(entry, dict):
            entry = {key: reference(child) for key, child in entry.items()}
        elif isinstance(entry, list | tuple):
            entry = [reference(child) for child in entry]
        entries.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    return f"[{','.join(entries)}]"
