"""README and docs: every page is on the site, every link leads somewhere, every command is one."""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import documented
import formats
import record_tutorial
import site_pages

from sedrepro import papers, settings
from sedrepro.cli import commands, naming, reference

ROOT = Path(__file__).resolve().parents[1]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
DOCS = ROOT / "docs"
SOURCES = {page: ROOT / file for page, file in site_pages.PAGES.items()} | {
    path.name: path for path in sorted(DOCS.glob("*.md"))
}
"""Every page of the site, and the file that it is made from."""
TEXTS = {page: path.read_text(encoding="utf-8") for page, path in SOURCES.items()}
CALLS = list(dict.fromkeys(call for text in TEXTS.values() for call in documented.typed(text)))
MENTIONED = list(dict.fromkeys(c for text in TEXTS.values() for c in documented.mentioned(text)))
YOURS = {"mine.yaml", "my_tree.yaml", "RUN", "my_paper"}
"""What a reader has and we have not."""
WRITTEN = {name: text for page in TEXTS.values() for name, text in documented.files(page)}
"""Settings files that a page tells to write."""


def calls_of(program: str, calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith(f"{program} ")]


# --- the site -----------------------------------------------------------------------------------


def entries(navigation: list) -> Iterator[str]:
    for entry in navigation:
        for value in entry.values():
            yield from entries(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_once():
    assert sorted(entries(SITE["nav"])) == sorted(SOURCES)


def headings(text: str) -> set[str]:
    """The names by which links find the headings of a page."""
    plain = documented.FENCE.sub("", text)
    titles = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles)
    return {re.sub(r"\s+", "-", word) for word in words}


def test_every_link_leads_to_a_page_and_a_heading_of_it():
    wrong = []
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", site_pages.relinked(text, page)):
            address, _, heading = target.partition("#")
            if ":" in address:
                continue
            there = address in TEXTS or (DOCS / address).is_file() if address else True
            named = not heading or heading in headings(TEXTS.get(address or page, ""))
            if not (there and named):
                wrong.append(f"{page}: {target}")
    assert wrong == []


class Links(HTMLParser):
    """What a page shows and leads to, and the names it can be found by."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.names |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.leads.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "edit"):
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    program = ROOT / ".venv.docs/bin/mkdocs"
    if not program.exists():
        pytest.skip("`make docs` builds the site's environment")
    folder = tmp_path_factory.mktemp("site")
    words = [program, "build", "--strict", "--site-dir", folder]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_built_site_is_whole_and_asks_nothing_of_the_network(site):
    pages = {path: Links() for path in site.rglob("*.html")}
    for path, links in pages.items():
        links.feed(path.read_text(encoding="utf-8"))
    assert {path.name for path in pages} >= {page.replace(".md", ".html") for page in SOURCES}
    wrong = []
    for path, links in pages.items():
        wrong += [f"{path.name} loads {one}" for one in links.loads if urlsplit(one).netloc]
        for link in [*links.leads, *links.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            named = not parts.fragment or unquote(parts.fragment) in pages[target].names
            if not (target.is_file() and named):
                wrong.append(f"{path.name}: {link}")
    assert wrong == []


# --- what people are told to type ---------------------------------------------------------------


def overlay(files: list[Path | str], pairs: list[str]) -> dict:
    """What a command sets: files that there are or that a page tells to write, and `--config`."""
    merged: dict = {}
    for file in map(str, files):
        name = Path(file).name
        if name in WRITTEN:
            merged = settings.merge(merged, yaml.safe_load(WRITTEN[name]))
        elif name not in YOURS:
            merged = settings.merge(merged, settings.read_yaml(ROOT / file))
    for pair in pairs:
        key, _, value = pair.partition("=")
        merged = settings.merge(merged, {key: yaml.safe_load(value)})
    return merged


def loaded(files: list[Path | str], pairs: list[str]) -> settings.Project:
    """What is set then; an error if it cannot be."""
    return _loaded(json.dumps(overlay(files, pairs)))


@functools.cache
def _loaded(what: str) -> settings.Project:
    models = papers.settings_models()
    return settings.load(json.loads(what), papers=models, root=ROOT, lazily=True)


def parsed(parser: argparse.ArgumentParser, words: list[str], call: str) -> argparse.Namespace:
    try:
        return parser.parse_args(words)
    except SystemExit:
        raise AssertionError(f"cannot be typed: {call}") from None


@pytest.mark.parametrize("call", calls_of("sedrepro", CALLS))
def test_a_sedrepro_command_is_one(call, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(call)[1:]
    options = parsed(commands.command_line(), words, call)
    project = loaded(options.configfile, options.config)
    for name in [getattr(options, "run", None), getattr(options, "what", None)]:
        for run in [name] if isinstance(name, str) else name or []:
            if run not in YOURS and not Path(run).suffix:
                naming.runs_of(run, project)


def test_what_a_sentence_says_of_a_command_is_true():
    known = reference.commands(commands.command_line())
    for call in calls_of("sedrepro", MENTIONED):
        name, *words = call.split()[1:]
        assert name in known or name == "--version", call
        options = {option for option in words if option.startswith("--")}
        assert not options or options <= set(known[name]._option_string_actions), call


def test_names_of_papers_and_rows_in_commands_are_there(monkeypatch):
    monkeypatch.chdir(ROOT)
    project = loaded([], [])
    names = [
        word
        for call in [*CALLS, *MENTIONED]
        for word in call.split()
        if re.fullmatch(r"\w+/\w+", word)
    ]
    known = [name for name in names if name.split("/")[0] in project.papers]
    assert len(known) > 5
    for name in known:
        naming.row_of(name, project)


@pytest.fixture(scope="module")
def snakemake() -> argparse.ArgumentParser:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


@pytest.mark.parametrize("call", calls_of("snakemake", [*CALLS, *MENTIONED]))
def test_a_snakemake_command_is_one(call, snakemake, monkeypatch):
    monkeypatch.chdir(ROOT)
    options = parsed(snakemake, shlex.split(call)[1:], call)
    rules = re.findall(r"^rule (\w+):", "".join(_rules()), re.MULTILINE)
    wanted = {*papers.settings_models(), *rules}
    targets = {target for target in options.targets if not target.startswith("data/")}
    assert targets <= wanted | YOURS | {"<paper>"}, call
    loaded(options.configfile or [], options.config or [])


def _rules() -> Iterator[str]:
    for path in [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]:
        yield path.read_text(encoding="utf-8")


def test_a_target_of_make_is_one():
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for call in calls_of("make", [*CALLS, *MENTIONED]):
        assert [w for w in call.split()[1:] if "=" not in w and w not in known] == [], call


# --- what is generated or recorded --------------------------------------------------------------


def test_generated_pages_are_current():
    assert TEXTS["commands.md"] == reference.page(commands.command_line()), "make config-docs"
    assert TEXTS["formats.md"] == formats.page(), "make config-docs"


def test_every_column_has_a_meaning_and_no_meaning_is_left_over():
    columns = {column for _, _, columns in formats.FILES for column in columns}
    assert columns == set(formats.MEANINGS)


def test_the_recorded_session_is_the_tutorials():
    record = (DOCS / "tutorial.txt").read_text(encoding="utf-8")
    said = [line[2:] for line in record.splitlines() if line.startswith("$ ")]
    assert said == record_tutorial.typed(), "python tools/record_tutorial.py FOLDER"


@pytest.mark.system
def test_the_tutorial_can_be_typed(tmp_path):
    """All of it, at smoke scale."""
    smoke = "tests/workflow/smoke.yaml"
    words = [ROOT / "tools/record_tutorial.py", tmp_path / "sedrepro", "--more", smoke]
    subprocess.run([sys.executable, *words], check=True)
    assert (tmp_path / "sedrepro/predictions/kitchen.png").is_file()
