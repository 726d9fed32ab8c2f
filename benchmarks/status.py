"""What `sedrepro status` says at ten moments of a run, beside how long the run really took still.

Start it in the working folder of a workflow that is running or will run soon:

    python CHECKOUT/benchmarks/status.py --configfile config/mini.yaml first.yaml
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

from machine import lines

MOMENTS = 10
PATIENCE = 120.0
"""Seconds to wait for a workflow that has not begun."""
UNITS = {"s": 1, "min": 60, "h": 3600}


def watched(options: list[str]) -> list[tuple[float, str]]:
    """Every look of `sedrepro status --watch`, with its time, until nothing is left to do."""
    words = [sys.executable, "-m", "sedrepro.cli", "status", "--watch", *options]
    begin = time.monotonic()
    while True:
        looks: list[tuple[float, str]] = []
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            for look in watching.stdout:
                looks.append((time.monotonic(), look.strip()))
        if watching.returncode == 0 or time.monotonic() - begin > PATIENCE + 10 * len(looks):
            return looks
        time.sleep(2)


def said(look: str) -> float | None:
    """The time left in seconds that a line names."""
    found = re.search(r"about ([\d.]+) (s|min|h) left$", look)
    return float(found[1]) * UNITS[found[2]] if found else None


def main() -> None:
    looks = watched(sys.argv[1:])
    start, end = looks[0][0], looks[-1][0]
    rows = []
    for number in range(MOMENTS):
        when, look = looks[round(number * (len(looks) - 1) / MOMENTS)]
        told, truth = said(look), end - when
        ratio = f"{told / truth:.2f}" if told is not None else ""
        running = re.sub(r"; (about|time left).*$", "", look.partition("  ")[2])
        share = f"{(when - start) / (end - start):.0%}"
        rows.append((share, running, told or "unknown", f"{truth:.0f}", ratio))
    print(lines(("into it", "what it says", "seconds left, said", "true", "said / true"), rows))


if __name__ == "__main__":
    main()
