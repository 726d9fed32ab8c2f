"""What a shell completes: commands, their options, choices of options, and names of rows."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess

import pytest

from sedrepro.cli import main

TYPE = """
source /dev/stdin
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_sedrepro
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(root) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return _said("bash")


def _said(shell: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["completion", shell]) == 0
    return out.getvalue()


def offered(script: str, words: str) -> set[str]:
    """What bash offers after these words; the last one is being typed."""
    done = subprocess.run(
        ["bash", "-uc", TYPE.format(words=words)],
        input=script,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sedrepro sta", {"status"}),
        ("sedrepro status --w", {"--watch"}),
        ("sedrepro table --format ''", {"text", "csv", "md", "tex", "json"}),
        ("sedrepro check ma", {"maestro"}),
        ("sedrepro completion z", {"zsh"}),
        ("sedrepro predict --run lgc_sed/lgc_s", {"lgc_sed/lgc_sct", "lgc_sed/lgc_strong_real"}),
        ("sedrepro archive lgc", set()),
    ],
)
def test_bash_offers_what_fits(script, words, expected):
    assert offered(script, words) == expected


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_takes_it(root, monkeypatch):
    monkeypatch.chdir(root)
    subprocess.run(["zsh", "-fec", "source /dev/stdin"], input=_said("zsh"), text=True, check=True)
