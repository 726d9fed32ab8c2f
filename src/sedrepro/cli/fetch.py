"""`sedrepro fetch`: one resource by hand, as `snakemake data` fetches it, as long as you like."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

from ..errors import SedreproError
from ..files import write_json
from ..miniature import obtain
from ..progress import reporting
from ..settings import Layout, Project
from ..sources import registry

LOOK = 20.0
"""Seconds between two looks at the clock, which goes on while a computer sleeps."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("resource", help="its name in config/datasets.yaml")
    parser.add_argument(
        "--until", metavar="HH:MM", help="stop at that time; the same command goes on later"
    )


def by_hand(resource: str, project: Project, until: float | None = None) -> int:
    """Fetch a resource, and first what it comes after; write their statuses.

    It stops at `until` (seconds of the epoch) or on Ctrl-C.

    Whoever stops does not wait for connections that are open: what has arrived is on the disk, and
    nothing has its final name before it is whole.
    """
    # Started in the background by a shell script, a process has been told to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    time_is_up = threading.Event()
    if until is not None:
        threading.Thread(target=_interrupt, args=(until, time_is_up), daemon=True).start()
    try:
        for name in registry.load()[resource].after:
            if not Path(Layout.of(project).status(name)).exists():
                _fetch(name, project)
        _fetch(resource, project)
    except KeyboardInterrupt:
        why = "its time is up" if time_is_up.is_set() else "stopped"
        print(f"{resource}: {why}; what arrived is kept, and the same command goes on", flush=True)
        sys.stderr.flush()
        os._exit(0 if time_is_up.is_set() else 130)
    return 0


def _fetch(resource: str, project: Project) -> None:
    layout = Layout.of(project)
    with reporting(layout.data_log("fetch", resource), f"fetch {resource}"):
        status = obtain(resource, project)
    if status["status"] != "arriving":  # only the workflow knows that this was asked for
        write_json(layout.status(resource), status)
    print(f"{resource}: {status['status']}  {status['reason']}".rstrip())


def moment(text: str, now: datetime) -> float:
    """The next time the clock shows HH:MM."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if not found:
        raise SedreproError(f"--until {text}: expected a time of day such as 07:00")
    then = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    return (then if then > now else then + timedelta(days=1)).timestamp()


def _interrupt(until: float, time_is_up: threading.Event) -> None:
    """End the main thread's work at a time, as Ctrl-C does."""
    while (left := until - time.time()) > 0:
        time.sleep(min(left, LOOK))
    time_is_up.set()
    main = threading.main_thread().ident
    assert main is not None  # it runs
    signal.pthread_kill(main, signal.SIGINT)
