"""Runs a command that dies by SIGKILL right after a step: `python -m executions.tests.killable STEP CALL COMMAND ...`.

The product has no hooks for this; the functions that make the steps are wrapped from outside, in this process only.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django

# step -> where the function lives that makes it
STEPS = {
    "wake-up received": ("executions.ingest.listener", "Listener._notifies"),
    "row recorded": ("executions.ingest.listener", "record"),
    "work claimed": ("executions.ingest.queue", "claim"),
    "image file written": ("executions.ingest.images", "store"),
    "row updated": ("executions.ingest.phase1", "_write"),
    "phase 1 committed": ("executions.ingest.phase1", "extract"),
    "result written": ("executions.ingest.phase2", "_write"),
    "phase 2 committed": ("executions.ingest.phase2", "extract"),
    "event published": ("executions.events", "publish"),
}


def main() -> None:
    step, call, *arguments = sys.argv[1:]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sai_dashboard.settings")
    django.setup()
    kill_after(step, int(call))
    from django.core.management import call_command

    call_command(*arguments)


def kill_after(step: str, call: int) -> None:
    from importlib import import_module

    module_name, path = STEPS[step]
    owner: Any = import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    setattr(owner, name, fatal(original, call))
    if step in ("phase 1 committed", "phase 2 committed"):
        from executions.ingest import worker

        for phase, function in worker.EXTRACT.items():
            if function is original:
                worker.EXTRACT[phase] = getattr(owner, name)


def fatal(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """The function, whose n-th useful result is its process's last."""
    done = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        result = function(*args, **kwargs)
        if name_is_generator(function):
            result = list(result)
        if result is not None and not result and isinstance(result, list):
            return result
        done += 1
        if done == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def name_is_generator(function: Callable[..., Any]) -> bool:
    return bool(function.__code__.co_flags & 0x20)


if __name__ == "__main__":
    main()
