"""What follows from the source in the reference: ``<!-- generated: NAME -->`` in a page."""

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is generated where a page has its mark."""
    return _MARK.sub(lambda found: GENERATED[found[1]](), markdown)


def command_line() -> str:
    """The commands with their arguments and options."""
    import typer
    from typer.cli import get_docs_for_click

    from irrepress.cli.application import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="irrepress")
    _, _, commands = text.partition("\n## ")
    return "## " + commands


def config() -> str:
    """Every key of the config."""
    schema = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    sections = schema["$defs"]
    parts = [_keys(schema)]
    for name, section in sections.items():
        parts.append(f"## {name}\n\n{_prose(section.get('description', ''))}\n")
        parts.append(_keys(section))
    return "\n".join(parts)


def _keys(section: Mapping[str, Any]) -> str:
    needed = section.get("required", ())
    entries = []
    for name, key in section["properties"].items():
        default = "needed" if name in needed else _default(key)
        meaning = _prose(key.get("description", ""))
        entries.append(
            f"- **`{name}`** · {_type(key)} · {default}" + f"<br>{meaning}" * bool(meaning)
        )
    return "\n".join(entries) + "\n"


def _default(key: Mapping[str, Any]) -> str:
    default = key.get("default")
    if isinstance(default, dict) and default:  # a section: its own table has the defaults
        return "the section's defaults"
    return f"default `{json.dumps(default, ensure_ascii=False)}`"


def _type(key: Mapping[str, Any]) -> str:
    """Say what a key may hold."""
    if "$ref" in key:
        name = key["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if kinds := key.get("anyOf") or key.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(kind) for kind in kinds))
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"])
    if "const" in key:
        return f"`{key['const']}`"
    kind = key.get("type", "anything")
    if kind == "array":
        return f"list of {_type(key.get('items', {}))}"
    if kind == "object":
        values = [*key.get("patternProperties", {}).values()]
        values += [v for v in [key.get("additionalProperties")] if isinstance(v, dict)]
        return f"names with {_type(values[0])}" if values else "names with values"
    bounds = [f"{sign} {key[bound]}" for bound, sign in _BOUNDS.items() if bound in key]
    return " ".join([kind, *(bound for bound in bounds if not _is_beyond(bound))])


def _is_beyond(bound: str) -> bool:
    """Whether a bound is one that only a mistyped number passes."""
    return float(bound.split()[1]) >= 1e9


def prototypes() -> str:
    """The systems that generated datasets can be made of."""
    from irrepress.data.sources.prototypes import KINDS, PROTOTYPES

    parts = []
    for kind in KINDS:
        chosen = {name: made for name, made in PROTOTYPES.items() if made.kind == kind}
        rows = []
        for name, made in chosen.items():
            atoms = made.build()
            mixture = ", ".join(f"{share:.0%} {symbol}" for symbol, share in made.mixture.items())
            formula = mixture or atoms.get_chemical_formula()
            rows.append((f"`{name}`", formula, str(len(atoms))))
        parts += [f"## {kind}\n", _table(("name", "formula", "atoms of the smallest cell"), rows)]
    return "\n".join(parts)


def datasets() -> str:
    """The published datasets."""
    from irrepress.catalogue.datasets.registry import PUBLISHED

    rows = []
    for entry in PUBLISHED.values():
        licence = entry.licence.name + (" (to accept)" if entry.licence.restricted else "")
        count = f"{entry.structures:,}" if entry.structures else "not known"
        labels = ", ".join(entry.labels) or "none"
        rows.append((f"`{entry.name}`", count, labels, entry.level_of_theory, licence))
    return _table(("name", "structures", "labels", "level of theory", "licence"), rows)


def checkpoints() -> str:
    """The checkpoints that are downloaded by their names."""
    from irrepress.catalogue.families import family_names

    rows = []
    for family in family_names():
        catalogue = importlib.import_module(f"irrepress.catalogue.checkpoints.{family}")
        for name, found in getattr(catalogue, "CHECKPOINTS", {}).items():
            licence = found.licence.name + (" (to accept)" if found.licence.restricted else "")
            rows.append((f"`{family}`", f"`{name}`", f"`{found.file.name}`", licence))
    return _table(("family", "checkpoint", "file", "licence"), rows)


def rules() -> str:
    """The rules, file by file."""
    rows = []
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^ *rule (\w+):", text, re.MULTILINE)
        names += re.findall(r"^ *use rule \w+ as (\w+)", text, re.MULTILINE)
        names += re.findall(r'^ *name:\s*f?"(.+)"$', text, re.MULTILINE)
        comment = re.match(r"((?:# .*\n)+)", text)
        about = " ".join(re.findall(r"# (.*)", comment[1])) if comment else ""
        rows.append((f"`{path.name}`", ", ".join(f"`{name}`" for name in names), about))
    return _table(("file", "rules", "what they do"), (row for row in rows if row[1]))


def packages() -> str:
    """The packages of the library, each with those that it may import."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    layers = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    rows = []
    for i, layer in enumerate(layers):
        below = [name for lower in layers[i + 1 :] for name in lower]
        for name in layer:
            rows.append(
                (f"`{name}`", _about(name), ", ".join(f"`{b}`" for b in below) or "nothing")
            )
    return _table(("package", "what it is", "may import"), rows)


def _about(package: str) -> str:
    """The first sentence of a package's docstring."""
    folder = ROOT / "src" / "irrepress" / package
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return _prose(docstring.partition("\n\n")[0])


def _prose(text: str) -> str:
    """A docstring's text on one line, with its code in Markdown's quotes."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).replace("|", "\\|").strip()


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (*(command_line, config, prototypes, datasets, checkpoints, rules, packages),)
}
