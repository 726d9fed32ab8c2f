"""The command line, and what the Snakefile and its scripts stand on."""


def main(words: list[str] | None = None) -> int:
    """The `sedrepro` command."""
    from .commands import run

    return run(words)
