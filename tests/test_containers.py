"""The container recipes, as far as they can be checked without building them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "containers"


class Recipe:
    """What both kinds of recipe say: base images, files copied in, shell commands."""

    def __init__(self, bases: list[str], copied: list[str], shells: list[str]) -> None:
        self.bases = bases
        self.copied = copied
        self.shells = shells
        lines = "\n".join(shells).replace("\\\n", " ").replace("&&", "\n").splitlines()
        self.commands = [words for line in lines if (words := shlex.split(line, comments=True))]

    def words_after(self, *start: str) -> list[list[str]]:
        """The rest of every command that starts so; of a path the last part counts."""
        named = [[Path(words[0]).name, *words[1:]] for words in self.commands]
        return [words[len(start) :] for words in named if words[: len(start)] == [*start]]


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments."""
    lines = (CONTAINERS / "Dockerfile").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if line.strip() and not line.startswith("#"))
    found = re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)\n", text, flags=re.MULTILINE)
    assert "".join(f"{name} {rest}\n" for name, rest in found) == text
    return found


def docker() -> Recipe:
    steps = dockerfile()
    copies = [shlex.split(rest) for name, rest in steps if name == "COPY"]
    return Recipe(
        [rest.split()[0] for name, rest in steps if name == "FROM"],
        [file for words in copies if "--from=build" not in words for file in words[:-1]],
        [rest for name, rest in steps if name == "RUN"],
    )


def apptainer() -> Recipe:
    text = (CONTAINERS / "sedrepro.def").read_text()
    sections = re.findall(r"^%(\w+)(.*)\n((?:[ \t].*\n|\n)*)", text, flags=re.MULTILINE)
    files = [body for name, rest, body in sections if name == "files" and not rest]
    return Recipe(
        re.findall(r"^From: (.*)$", text, flags=re.MULTILINE),
        [line.split()[0] for body in files for line in body.splitlines() if line.strip()],
        [body for name, _, body in sections if name in ("post", "environment", "test")],
    )


@pytest.fixture(params=[docker, apptainer])
def recipe(request) -> Recipe:
    return request.param()


def test_the_base_is_one_exact_python_that_the_project_allows():
    bases = {*docker().bases, *apptainer().bases}
    assert len(bases) == 1
    image, _, tag = bases.pop().partition(":")
    assert image == "python"
    version, _, variant = tag.partition("-")
    assert re.fullmatch(r"3\.11\.\d+", version), "the lock's wheels and envs/ are for Python 3.11"
    assert re.fullmatch(r"slim-[a-z]+", variant), "a release of Debian, or it changes under us"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version in SpecifierSet(project["requires-python"])


def test_the_lock_is_installed_as_the_setup_does(recipe):
    (words,) = recipe.words_after("pip", "install")
    setup = (ROOT / "tools/setup.sh").read_text()
    ours = re.search(r"all=\((.* -r requirements\.lock)\)", setup)[1].split()
    assert set(words) - {"--no-cache-dir"} == {*ours, "/tmp/requirements.lock"} - {
        "--quiet",
        "requirements.lock",
    }
    assert "--no-cache-dir" in words, "the wheels would stay in the image"
    assert "requirements.lock" in recipe.copied


def test_programs_are_those_the_setup_installs(recipe):
    setup = (ROOT / "tools/setup.sh").read_text()
    known = set(re.findall(r"\|\| echo (\S+)", setup))
    assert known == {"sox", "build-essential"}
    installed = recipe.words_after("apt-get", "install", "-y", "--no-install-recommends")
    assert len(installed) == len(recipe.words_after("apt-get", "install")) == len(known)
    assert {package for packages in installed for package in packages} == known
    for shell in recipe.shells:
        if "apt-get" in shell:
            assert shell.index("update") < shell.index("install") < shell.index("rm -rf /var/lib")


def test_what_is_copied_is_there_and_is_no_data(recipe):
    assert set(recipe.copied) == {"requirements.lock", "containers/sedrepro"}
    assert all((ROOT / file).is_file() for file in recipe.copied)


def test_docker_is_sent_what_it_copies_and_nothing_else():
    hidden, *shown = [
        line
        for line in (CONTAINERS / "Dockerfile.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert fnmatch("data", hidden)
    assert sorted(line.removeprefix("!") for line in shown) == sorted(docker().copied)


def test_shell_commands_are_well_formed(recipe):
    for shell in recipe.shells:
        subprocess.run(["sh", "-n", "-c", shell], check=True)


def test_what_was_built_is_what_runs():
    """The compiler stays behind in the first stage; its environment is found in the second."""
    steps = dockerfile()
    second = [name for name, _ in steps].index("FROM", 1)
    assert ("COPY", "--from=build /opt/sedrepro /opt/sedrepro") in steps[second:]
    assert "/opt/sedrepro" in docker().words_after("python", "-m", "venv")[0]
    environment = dict(
        pair.split("=", 1) for name, rest in steps if name == "ENV" for pair in shlex.split(rest)
    )
    assert environment["PATH"].startswith("/opt/sedrepro/bin:")
    assert [rest for name, rest in steps if name == "USER"][-1].split(":")[0] not in ("root", "0")
    text = (CONTAINERS / "sedrepro.def").read_text()
    assert "%files from build\n    /opt/sedrepro /opt/sedrepro\n" in text
    assert "export PATH=/opt/sedrepro/bin:$PATH\n" in text


def test_the_command_is_that_of_the_checkout(tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [CONTAINERS / "sedrepro", "--help"]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("usage: sedrepro"), done.stderr
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "sedrepro: call me in the folder of a checkout\n"
