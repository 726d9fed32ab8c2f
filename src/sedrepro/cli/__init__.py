"""The command line."""

import sys

STOPPED = 130
"""The exit code of what Ctrl-C ended."""


def main(words: list[str] | None = None) -> int:
    """The `sedrepro` command; Ctrl-C ends it in one line, also while it loads what it needs."""
    try:
        from .commands import run

        return run(words)
    except KeyboardInterrupt:
        print("stopped; what was done is kept", file=sys.stderr)
        return STOPPED
