"""The building's rules (docs/architecture.md): who may import whom, how large a thing may be."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "sedrepro"

# From the ground up. Rooms of the ground floor may use each other; above, a room imports from lower
# floors and from itself only.
FLOORS = [
    {"errors", "files", "places", "locks", "liveness", "progress", "chain", "kept", "settings"}
    | {"audio", "clips", "store", "tables", "checkpoints", "metrics"},
    {"sources"},
    {"miniature"},
    {"mixtures"},
    {"features"},
    {"networks", "objectives"},
    {"papers"},
    {"inference"},
    {"training"},
    {"evaluation"},
    {"reporting"},
    {"pipeline"},
    {"cli"},
]
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

HEAVY = {"torch", "torchaudio", "numpy", "pandas", "h5py", "scipy", "sklearn", "librosa"}
HEAVY |= {"matplotlib", "soundfile", "soxr", "scaper", "desed", "av"}

MODULES = {
    ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SRC.rglob("*.py"))
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(module: str, *, lazy: bool = True) -> list[str]:
    """What a module imports, by full name; `lazy`: also what its functions import when called."""
    return list(_imports(module, lazy))


def _imports(module: str, lazy: bool) -> Iterator[str]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    pending: list[ast.AST] = [parsed(path)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += node.orelse
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*base, node.module] if node.module else base) if node.level else None
            source = source or node.module
            yield source
            yield from (name for a in node.names if (name := f"{source}.{a.name}") in MODULES)
        pending += ast.iter_child_nodes(node)


def linked(module: str) -> set[str]:
    """The modules that a module names in an import, at any time and also only for types.

    `from package import module` names the module, not what is in the package's `__init__`.
    """
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join(filter(None, [*(base if node.level else []), node.module]))
            names = [f"{source}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else source for name in names}
    return (found & MODULES.keys()) - {module}


def circles(links: dict[str, set[str]]) -> list[set[str]]:
    """The largest groups in which everybody leads to everybody."""
    ahead = {}
    for start in links:
        seen, pending = set(), list(links[start])
        while pending:
            name = pending.pop()
            if name not in seen:
                seen.add(name)
                pending += links[name]
        ahead[start] = seen
    groups = {frozenset(o for o in ahead[m] if m in ahead[o]) for m in links if m in ahead[m]}
    return [set(group) for group in groups]


def reachable(roots: list[str]) -> dict[str, str]:
    """Every name that importing `roots` imports, with the module that asks for it first."""
    found: dict[str, str] = {}
    pending = list(roots)
    while pending:
        module = pending.pop()
        parents = [module[: match.start()] for match in re.finditer(r"\.", module)]
        for name in {*imports(module, lazy=False), *parents}:
            if name not in found:
                found[name] = module
                if name in MODULES:
                    pending.append(name)
    return found


def room(module: str) -> str:
    return module.split(".")[1]


def rooms(*names: str) -> list[str]:
    return [module for module in MODULES if module.count(".") and room(module) in names]


@pytest.mark.parametrize("module", [module for module in MODULES if "." in module])
def test_imports_go_down(module):
    here = room(module)
    assert here in FLOOR_OF, f"{here} is on no floor: docs/architecture.md and this test name them"
    for name in imports(module):
        if not name.startswith("sedrepro.") or room(name) == here:
            continue
        assert FLOOR_OF[room(name)] < FLOOR_OF[here] or FLOOR_OF[here] == 0, (
            f"{module} imports {name}, which is not on a lower floor"
        )


def test_no_modules_import_each_other_in_a_circle():
    """Not in a function and not for types either: one of them is then part of the other."""
    found = circles({module: linked(module) for module in MODULES})
    assert not [sorted(circle) for circle in found]


def test_a_circle_is_seen():
    links = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(links) == [{"b", "c"}]
    assert linked("sedrepro.sources.errand") >= {"sedrepro.sources.http", "sedrepro.settings"}


def test_only_the_pipeline_the_command_line_and_the_scripts_know_snakemake():
    for module in MODULES:
        if module.count(".") and room(module) not in ("cli", "pipeline"):
            assert not [name for name in imports(module) if name.startswith("snakemake")], module


def test_trainer_and_evaluator_know_the_contract_and_no_paper():
    from sedrepro.papers import PAPERS

    own = {f"sedrepro.papers.{paper}" for paper in PAPERS}
    for module in rooms("training", "evaluation"):
        known = {".".join(name.split(".")[:3]) for name in imports(module)}
        assert not known & own, f"{module} imports {known & own}"


def test_no_paper_imports_another():
    """What two papers share is a base, or lies on a lower floor."""
    shared = {"bases", "contract"}
    for module in rooms("papers"):
        own = module.split(".")[2] if module.count(".") > 1 else "contract"
        allowed = shared if own in shared else {*shared, own}
        for name in imports(module):
            if name.startswith("sedrepro.papers."):
                other = name.split(".")[2]
                assert other in allowed, f"{module} imports {name}"


def test_no_method_tests_the_name_of_a_row_or_an_encoder():
    """What a row changes are its settings; what an encoder needs, its own room knows."""
    named = re.compile(r"\.(row|resource)\b")
    methods = [module for module in rooms("papers") if not module.endswith(".settings")]
    for module in methods:
        for node in ast.walk(parsed(MODULES[module])):
            if isinstance(node, ast.Compare | ast.Match):
                assert not named.search(ast.unparse(node)), f"{module}: {ast.unparse(node)}"


def test_evaluation_and_reporting_never_import_torch():
    modules = rooms("evaluation", "reporting")
    found = reachable(modules)
    guilty = {found[name] for name in found if name.partition(".")[0] in ("torch", "torchaudio")}
    guilty |= {
        module
        for module in modules
        for name in imports(module)
        if name.partition(".")[0] in ("torch", "torchaudio")
    }
    assert not guilty


def test_planning_imports_nothing_heavy():
    roots = [module for module in MODULES if re.fullmatch(r".*\.papers\.[\w.]+\.settings", module)]
    roots += ["sedrepro.settings", "sedrepro.papers"]
    roots += [module for module in MODULES if module == "sedrepro.pipeline.flow"]
    found = reachable(roots)
    assert not {
        f"{found[name]} imports {name}" for name in found if name.partition(".")[0] in HEAVY
    }


def test_the_walk_sees_what_is_imported():
    """The rules above would hold for anything if the walk were blind."""
    assert "torch" in set(imports("sedrepro.papers.contract"))
    assert "sedrepro.settings" in set(imports("sedrepro.papers.contract"))
    assert "sedrepro.papers.contract" not in set(imports("sedrepro.papers"))
    assert "sedrepro.errors" in reachable(["sedrepro.papers.lgc_sed.settings"])
    assert "torch" in reachable(["sedrepro.papers.lgc_sed.method"])


def test_no_path_of_one_machine_is_tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    here = f"|{re.escape(str(ROOT))}" if len(ROOT.parts) > 2 else ""
    homes = re.compile(rf"/(?:home|Users)/\w+|/root/{here}".encode())
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__) and (hit := homes.search(path.read_bytes())):
            found.append(f"{name}: {hit[0].decode()}")
    assert not found


def test_one_assignment_a_line():
    """Attributes are set one by one, and the formatter decides how lines are broken."""
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert "# fmt:" not in text, module
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                packed = [target for target in node.targets if isinstance(target, ast.Tuple)]
                set_here = [part for target in packed for part in target.elts]
                assert not any(isinstance(part, ast.Attribute) for part in set_here), (
                    f"{module}, line {node.lineno}: {ast.unparse(node)}"
                )
