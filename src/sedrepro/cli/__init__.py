"""The command line."""


def main(words: list[str] | None = None) -> int:
    """The `sedrepro` command."""
    from .commands import run

    return run(words)
