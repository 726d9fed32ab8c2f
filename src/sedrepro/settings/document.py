"""What is written from the settings models: config.yaml, editor schemas, the parameter page.

`files` renders them all; `tools/write_config_docs.py` writes them and a test keeps them current.
"""

from __future__ import annotations

import json
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .load import read_yaml
from .paper import PaperSettings
from .project import Key, Paper, Project

WIDTH = 96
REGENERATE = "make config-docs"


def files(papers: Mapping[str, type[PaperSettings]]) -> dict[str, str]:
    """Each generated file, by its path below the checkout."""
    written = {
        "config/config.yaml": config_yaml(),
        "config/config.schema.json": _json(project_schema(papers)),
        "docs/parameters.md": parameters_page(papers),
    }
    for paper, model in papers.items():
        written[f"config/papers/{paper}/paper.schema.json"] = _json(paper_schema(model))
    return written


# --- config.yaml ---------------------------------------------------------------------------------


def config_yaml() -> str:
    """Every setting outside the papers with its default and its description."""
    head = f"""\
# yaml-language-server: $schema=config.schema.json
# Every setting and its default, written from the models in src/sedrepro/settings by
# `{REGENERATE}`. Put your own values in a file of your own and add it to the command line:
#     snakemake all --cores 8 --configfile my.yaml
# Such a file names only what it changes. The papers' settings are in config/papers/*/paper.yaml;
# docs/parameters.md lists everything.
"""
    return head + "\n".join(_yaml_lines(Project(), 0, skip={"papers"})) + "\n"


def _yaml_lines(
    block: BaseModel, depth: int, skip: frozenset[str] | set[str] = frozenset()
) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(block).model_fields.items():
        if name in skip:
            continue
        value, key = getattr(block, name), field.alias or name
        if depth == 0:
            yield ""
        yield from textwrap.wrap(
            describe(field), WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        if isinstance(value, BaseModel):
            yield f"{indent}{key}:"
            yield from _yaml_lines(value, depth + 1)
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            yield f"{indent}{key}:"
            for entry, child in value.items():
                yield f"{indent}  {entry}:"
                yield from _yaml_lines(child, depth + 2)
        else:
            yield f"{indent}{key}: {_flow(_plain(value))}"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("...\n").strip()


def _plain(value: Any) -> Any:
    """Models and tuples as what YAML and JSON can say."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


# --- schemas for editors -------------------------------------------------------------------------


def project_schema(papers: Mapping[str, type[PaperSettings]]) -> dict[str, Any]:
    """JSON schema of config.yaml and of any `--configfile`; nothing is required, files overlay."""
    schema = Project.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    for paper, model in papers.items():
        one = paper_schema(model)
        # Two papers may name a block alike: each paper's blocks get its name in front.
        text = json.dumps(one).replace('"#/$defs/', f'"#/$defs/{paper}.')
        renamed = json.loads(text)
        for name, definition in renamed.pop("$defs").items():
            definitions[f"{paper}.{name}"] = definition
        renamed.pop("$schema")
        definitions[paper] = renamed
    schema["properties"]["papers"] = {
        "description": schema["properties"]["papers"]["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": {paper: {"$ref": f"#/$defs/{paper}"} for paper in papers},
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_optional(_reachable(schema))}


def paper_schema(model: type[PaperSettings]) -> dict[str, Any]:
    """JSON schema of a paper.yaml: the paper with its own settings wherever they can be set."""
    schema = Paper.model_json_schema(by_alias=True)
    names = {"Settings": model, **{f"{name}.Settings": m for name, m in model.methods.items()}}
    for name, one in names.items():
        settings = _named(_optional(one.model_json_schema(by_alias=True)), name)
        schema["$defs"] |= settings.pop("$defs", {})
        schema["$defs"][name] = settings
    own, *others = ({"$ref": f"#/$defs/{name}"} for name in names)
    use = {"anyOf": [own, *others]} if others else own
    schema["properties"]["settings"] |= own
    schema["properties"]["methods"] |= {
        "additionalProperties": False,
        "properties": dict(zip(model.methods, others, strict=True)),
    }
    row = schema["$defs"]["Row"]["properties"]
    for conditions in (schema["properties"]["conditions"], row["conditions"]):
        conditions["additionalProperties"] = use
        conditions.pop("patternProperties", None)
    row["settings"] |= use
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _named(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema with its definitions under names of their own, where it is not the paper's."""
    prefix = name.removesuffix("Settings")
    text = json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{prefix}')
    renamed = json.loads(text)
    renamed["$defs"] = {f"{prefix}{key}": value for key, value in renamed["$defs"].items()}
    return renamed


def _optional(schema: Any) -> Any:
    """The schema with nothing required: files overlay each other."""
    if isinstance(schema, dict):
        return {
            key: _optional(value)
            for key, value in schema.items()
            if not (key == "required" and isinstance(value, list))
        }
    return [_optional(item) for item in schema] if isinstance(schema, list) else schema


def _reachable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without definitions that nothing refers to."""
    definitions = schema["$defs"]
    kept: set[str] = set()
    pending = [{key: value for key, value in schema.items() if key != "$defs"}]
    while pending:
        text = json.dumps(pending.pop())
        for name in definitions.keys() - kept:
            if f'"#/$defs/{name}"' in text:
                kept.add(name)
                pending.append(definitions[name])
    return {**schema, "$defs": {name: definitions[name] for name in definitions if name in kept}}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


# --- docs/parameters.md --------------------------------------------------------------------------


def parameters_page(papers: Mapping[str, type[PaperSettings]]) -> str:
    """Every key, its type, default and meaning: the project's, a paper's and each paper's own."""
    parts = [
        f"""\
# Parameters

Written from the models in `src/sedrepro/settings` and `src/sedrepro/papers/*/settings.py` by
`{REGENERATE}`.

Settings are merged in this order, later ones win: model defaults, `config/config.yaml`,
`config/papers/*/paper.yaml`, files given with `--configfile`, values given with `--config`.
Dictionaries merge, lists replace. A dot is one level of YAML: `data.folder` is

```yaml
data:
  folder: …
```

## Project

`config/config.yaml` and files given with `--configfile`.
""",
        _table(Project),
        "\n## A paper\n\n`config/papers/<id>/paper.yaml`, or `papers.<id>` in any other file.\n",
        _table(Paper),
    ]
    for paper, model in papers.items():
        parts += [
            f"\n## Settings of `{paper}`\n\n`settings`, `conditions.<condition>`, "
            "`table.<row>.settings` and `table.<row>.conditions.<condition>` in its `paper.yaml`; "
            "of these the later wins.\n",
            _table(model),
        ]
        for method, other in model.methods.items():
            parts += [
                f"\n### Settings of `{paper}`'s method `{method}`\n\n`methods.{method}`, and of "
                f"rows with `method: {method}` the same places.\n",
                _table(other),
            ]
    return "\n".join(parts)


def _table(model: type[BaseModel]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in leaves(model):
        default = "required" if field.is_required() else f"`{_flow(_default(field))}`"
        cells = (f"`{key}`", type_name(field), default, describe(field))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting below a block, by its dotted key; `<name>` stands for a key of one's own."""
    for name, field in model.model_fields.items():
        if field.annotation == dict[Key, Paper]:
            continue  # has a page part of its own
        key = f"{prefix}{field.alias or name}"
        inner, dots = _inner(field.annotation)
        if inner is None:
            yield key, field
        else:
            yield from leaves(inner, f"{key}{dots}.")


def _inner(kind: Any) -> tuple[type[BaseModel] | None, str]:
    """The block a field holds, and how its key goes on: a block, a mapping or a list of blocks."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, ""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, UnionType):
        blocks = [argument for argument in arguments if _inner(argument)[0]]
        return _inner(blocks[0]) if len(blocks) == 1 else (None, "")
    if typing.get_origin(kind) is dict and _inner(arguments[1])[0]:
        return arguments[1], ".<name>"
    if typing.get_origin(kind) is list and _inner(arguments[0])[0]:
        return arguments[0], "[]"
    return None, ""


def describe(field: FieldInfo) -> str:
    """A field's description; a block without one is described by its class."""
    inner, _ = _inner(field.annotation)
    if field.description or inner is None:
        return field.description or ""
    return (inner.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _default(field: FieldInfo) -> Any:
    return _plain(field.get_default(call_default_factory=True))


def type_name(field: FieldInfo) -> str:
    """A field's type in words, with the limits of its values."""
    return _with_limits(_name(field.annotation), field.metadata)


def _name(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        limits = [limit for part in arguments[1:] for limit in getattr(part, "metadata", [part])]
        return _with_limits(_name(arguments[0]), limits)
    if origin in (typing.Union, UnionType):
        return " or ".join(_name(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin is list:
        return f"list of {_name(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(_name(argument) for argument in arguments)}]"
    if origin is dict:
        return "mapping" if Any in arguments else f"mapping to {_name(arguments[1])}"
    words = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return "null" if kind is NoneType else words[kind]


def _with_limits(name: str, limits: list[Any]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    texts = [
        f"{sign} {getattr(limit, attribute):g}"
        for limit in limits
        for attribute, sign in signs.items()
        if getattr(limit, attribute, None) is not None
    ]
    first, *rest = name.split(" or ")  # a limit of `number or null` is the number's
    return " or ".join([" ".join([first, *" and ".join(texts).split()]), *rest])


MARKS = "<!-- papers: `make config-docs` writes this table -->\n", "<!-- end -->"


def with_papers(text: str, folder: Path) -> str:
    """A document with its table of papers, made of the configurations in `folder`."""
    lines = ["| paper | target | data | what we worked from |", "|---|---|---|---|"]
    for path in sorted(folder.glob("*/paper.yaml")):
        paper = read_yaml(path)
        named = f"[{paper['title']}]({paper['url']}) ({paper['venue']})"
        data = ", ".join(f"`{corpus}`" for corpus in paper["corpora"])
        lines.append(f"| {named} | `{path.parent.name}` | {data} | {paper.get('evidence', '')} |")
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    return "".join((before, MARKS[0], "\n".join(lines), "\n", MARKS[1], after))
