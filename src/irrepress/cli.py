"""The command ``irrepress``: look at models and datasets, evaluate, check configurations."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from irrepress import __version__
from irrepress.core.errors import UserError
from irrepress.core.section import NumberType
from irrepress.core.terminal import encodes, print_readably

app = typer.Typer(
    name="irrepress",
    help="Smaller and faster SO(3)-equivariant atomistic foundation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console()

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="Path of a model, or a keyword such as 7net-0.")
]
FamilyOption = Annotated[
    str | None, typer.Option("--family", help="Family; by default from the card or installed.")
]
ModalOption = Annotated[
    str | None, typer.Option("--modal", help="Level of theory of a multi-modal model.")
]
LicenceOption = Annotated[
    str | None,
    typer.Option("--licence", help="Licence of a published checkpoint that you accept, by name."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def main() -> None:
    """Run the command line."""
    print_readably()
    app()


def _print_json(text: str) -> None:
    """Print JSON, with escapes where the terminal lacks characters."""
    typer.echo(text if encodes(text) else json.dumps(json.loads(text), indent=2))


def _plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Print a UserError as one message and exit with code 2."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            typer.echo(f"irrepress: {error}", err=True)
            raise typer.Exit(2) from None

    return wrapped


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Smaller and faster SO(3)-equivariant atomistic foundation models."""


@app.command()
@_plain_errors
def inspect(
    model: ModelArgument,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's family, irreps, groups of irreps blocks, parameters and cost."""
    from irrepress.core.groups import widths_of

    adapter, loaded = _load(model, family, modal, licence)
    groups = adapter.groups(loaded)
    cost = adapter.cost_model(loaded)(widths_of(groups))
    content = {
        "model": model,
        "family": loaded.family,
        "modal": loaded.modal,
        "shape": adapter.shape(loaded),
        "parameters": loaded.parameter_count(),
        "flops_per_atom": cost.flops,
        "blocks": sum(g.channels for g in groups),
        "groups": [
            {"name": g.name, "irrep": g.irrep, "channels": g.channels, "width": g.width}
            for g in groups
        ],
    }
    if as_json:
        _print_json(json.dumps(content, indent=2))
        return
    table = Table("property", "value", title=model)
    table.add_row("family", loaded.family + (f" (modal {loaded.modal})" if loaded.modal else ""))
    for key, value in content["shape"].items():
        text = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(key.replace("_", " "), text)
    table.add_row("parameters", f"{content['parameters']:,}")
    table.add_row("FLOPs per atom", f"{cost.flops:.3g} (energy, 40 neighbours)")
    table.add_row("irreps blocks", str(content["blocks"]))
    console.print(table)
    # Groups of one width keep equally many channels; plans can name it (sweep.explicit).
    blocks = Table("group", "irrep", "channels", "width", title="groups")
    for g in groups:
        blocks.add_row(g.name, g.irrep, str(g.channels), g.width)
    console.print(blocks)


@app.command()
@_plain_errors
def evaluate(
    model: ModelArgument,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="HDF5 store, or what a config has under paths: files, folders, quoted patterns.",
        ),
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="train, valid or test of an HDF5 store.")
    ] = None,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    energy_key: Annotated[str | None, typer.Option(help="Key of the energy in the file.")] = None,
    forces_key: Annotated[str | None, typer.Option(help="Key of the forces in the file.")] = None,
    stress_key: Annotated[str | None, typer.Option(help="Key of the stress in the file.")] = None,
    align: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(
            help="Take out a constant per element between the energies of labels and model, as "
            "between two levels of theory; auto: where it is beyond doubt."
        ),
    ] = "auto",
    data_format: Annotated[
        str, typer.Option("--format", help="What the files are, as in a config: vasp-out, ...")
    ] = "auto",
    unit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=UNIT",
            help="One of a config's units: energy=Hartree, forces=Hartree/Bohr, stress=kbar, "
            "stress_sign=vasp, stress_order='xx yy zz xy yz xz', ... Repeatable.",
        ),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Only frames with this value: head=pbe. Repeatable, for further values or keys.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Structures per pass.")] = 8,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare a model with labels: MAE and RMSE of energy, forces and stress.

    The exit code is 1 if a prediction is not finite, and 2 if nothing could be compared.
    """
    from pydantic import ValidationError

    from irrepress.data.config import Files, LabelKeys
    from irrepress.data.formats.mace_hdf5 import SUFFIXES as HDF5_SUFFIXES
    from irrepress.data.formats.mace_hdf5 import is_of_mace
    from irrepress.data.notes import Note
    from irrepress.data.reading import read_files
    from irrepress.data.store import StructureStore
    from irrepress.evaluation.direct import evaluate_files, evaluate_store

    def is_store(paths: list[str]) -> bool:
        path = Path(paths[0])
        return len(paths) == 1 and path.suffix in HDF5_SUFFIXES and not is_of_mace(path)

    adapter, loaded = _load(model, family, modal, licence)
    notes: Iterable[Note]
    options: dict[str, Any] = {"alignment": align, "batch_size": batch_size, "device": device}
    name = " ".join(data)
    if data_format == "auto" and is_store(data):
        store = StructureStore(Path(data[0]))
        found = evaluate_store(adapter, loaded, store, split, **options)
        notes = store.info.notes
    else:
        if split is not None:
            raise UserError(f"--split: {name} has no splits; only HDF5 stores do")
        keys = LabelKeys(energy=energy_key, forces=forces_key, stress=stress_key)
        chosen: dict[str, list[str]] = {}
        for key, value in _pairs("--select", select):
            chosen.setdefault(key, []).append(value)
        try:
            files = Files(
                source="files",
                paths=data,
                format=data_format,
                keys=keys,
                units=dict(_pairs("--unit", unit)),
                select=chosen,
            )
        except ValidationError as error:
            (mistake, *_) = error.errors()
            reason = mistake.get("ctx", {}).get("error", mistake["msg"])
            raise UserError(f"{'.'.join(map(str, mistake['loc']))}: {reason}") from None
        reading = read_files(files)
        found = evaluate_files(adapter, loaded, reading, name, **options)
        notes = reading.notes
    failures = found.found.failures
    if as_json:
        content = {"model": model, "data": name, **found.record()}
        content["notes"] = [asdict(note) for note in notes]
        _print_json(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        table = Table("quantity", "MAE", "RMSE", "unit", "structures", title=f"{model} on {name}")
        for row in found.rows():
            table.add_row(*row)
        console.print(table)
        typer.echo(str(found.found.labels))
        if found.alignment is not None and found.alignment.worth_telling:
            typer.echo(found.alignment.told)
        for note in notes:
            typer.echo(f"note: {note}")
    if failures:
        typer.echo(f"irrepress: {failures.told(model)}", err=True)
        raise typer.Exit(1)


@app.command()
@_plain_errors
def summarize(
    path: Annotated[Path, typer.Argument(metavar="STORE", help="HDF5 store of a dataset.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a dataset holds, and which of its structures look wrong."""
    from irrepress.data.store import StructureStore
    from irrepress.data.summary.printing import notes_of, overview, suspects_of
    from irrepress.data.summary.scan import summarize as scan

    summary = scan(StructureStore(path))
    if as_json:
        _print_json(summary.model_dump_json(indent=2))
        return
    table = Table("property", "value", title=str(path))
    for row in overview(summary):
        table.add_row(*row)
    console.print(table)
    if summary.notes:
        table = Table("noticed or done when it was read", "times", "first in", title="notes")
        for row in notes_of(summary):
            table.add_row(*row)
        console.print(table)
    if summary.suspects:
        table = Table("looks wrong", "structures", "such as", title="suspicious structures")
        for row in suspects_of(summary):
            table.add_row(*row)
        console.print(table)


@app.command()
@_plain_errors
def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show all that is known of one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the published datasets that a config can name, or show one of them."""
    from irrepress.catalogue.datasets.registry import PUBLISHED, get_published

    entries = [get_published(name)] if name else list(PUBLISHED.values())
    if as_json:
        content = [asdict(entry) for entry in entries]
        _print_json(json.dumps(content, indent=2, ensure_ascii=False))
        return
    if name is None:
        table = Table()
        table.add_column("name", no_wrap=True)
        table.add_column("structures", justify="right", no_wrap=True)
        for title in ("labels", "level of theory", "licence"):
            table.add_column(title)
        for entry in entries:
            licence = entry.licence.name + (" (to accept)" if entry.licence.restricted else "")
            count = f"{entry.structures:,}" if entry.structures else "?"
            labels = ", ".join(entry.labels) or "none"
            table.add_row(entry.name, count, labels, entry.level_of_theory, licence)
        console.print(table)
        return
    (entry,) = entries
    table = Table("property", "value", title=entry.name)
    table.add_row("description", entry.description)
    table.add_row("structures", f"{entry.structures:,}" if entry.structures else "unknown")
    table.add_row("labels", ", ".join(entry.labels) or "none")
    table.add_row("level of theory", entry.level_of_theory)
    table.add_row("licence", f"{entry.licence.name}, {entry.licence.url} {entry.licence.terms}")
    table.add_row("citation", entry.citation)
    for file in (*entry.files, *entry.tables):
        checksum = file.checksum or "no checksum published: that of the first download is kept"
        sources = file.urls or (f"by hand from {file.page}",)
        table.add_row(file.name, "\n".join((checksum, *sources)))
    console.print(table)


@app.command()
@_plain_errors
def validate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG")],
    conda: Annotated[
        bool,
        typer.Option(
            "--conda", help="Jobs run in conda environments: this Python needs no family's package."
        ),
    ] = False,
) -> None:
    """Check a configuration and what it names, as a run does, and list what it would compute."""
    from irrepress.data.config import Perturbed
    from irrepress.study.preflight import check_study, remarks
    from irrepress.study.reading import load_config

    checked = load_config(config)
    # Where a family has no Python, a run takes conda if it is there.
    check_study(checked, str(config), packages=not conda and shutil.which("conda") is None)
    for remark in remarks(checked):
        typer.echo(f"note: {remark}")
    typer.echo(f"{config}: valid")
    typer.echo(f"  results: results/{checked.name}/")
    for name, dataset in checked.datasets.items():
        if isinstance(dataset, Perturbed):
            own = f", and {dataset.of} itself on top (keep_unperturbed)" * dataset.keep_unperturbed
            typer.echo(f"  {name}: {dataset.count:,} perturbed copies of {dataset.of}{own}")
    typer.echo(f"  models:  {', '.join(checked.models)}")
    typer.echo(f"  plans:   {', '.join(checked.plans())}")
    typer.echo(
        f"  stages:  {', '.join(checked.stages())} of {', '.join(checked.train_plans) or '-'}"
    )
    if checked.downstream:
        typer.echo(f"  downstream: {', '.join(checked.downstream.datasets)}")


@app.command()
@_plain_errors
def card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Path of a model or its card.")],
) -> None:
    """Print the card of a model: parent, stages, data, seeds, versions, licence."""
    from irrepress.study.cards import read_card

    path = model if model.suffix == ".json" else model.parent / "card.json"
    _print_json(json.dumps(read_card(path), indent=2, ensure_ascii=False))


@app.command()
@_plain_errors
def unpack(
    packed: Annotated[Path, typer.Argument(metavar="PACKED", help="A packed.pt of a study.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Where the model goes.")],
) -> None:
    """Turn the packed file of a quantized model into a native model that loads anywhere."""
    from irrepress.families import get_family
    from irrepress.quantization import packing

    family = get_family(packing.packed_family(packed))
    family.save(packing.unpack(family, packed), output)
    typer.echo(f"{output}: a native {family.name} model")


@app.command()
@_plain_errors
def export(
    model: ModelArgument,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Where the model goes.")],
    dtype: Annotated[NumberType, typer.Option(help="Type of its numbers.")],
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
) -> None:
    """Write a model in another type of numbers, where its family's files hold both."""
    import torch

    from irrepress.catalogue.families import number_types

    adapter, loaded = _load(model, family, modal, licence, dtype="float64")
    if dtype not in (held := number_types(adapter.name)):
        raise UserError(
            f"--dtype: files of the family {adapter.name} hold {' and '.join(held)} only, not "
            f"{dtype}"
        )
    adapter.save(loaded, output, dtype=getattr(torch, dtype))
    typer.echo(f"{output}: {dtype}, a native {adapter.name} model")


def _card_of(model: Path) -> dict[str, Any]:
    """Return the card beside a model, empty if there is none; warn if it is not the model's."""
    from irrepress.core.files import read_json
    from irrepress.study.cards import CARD, is_card, mismatch, read_card

    beside = model.parent / CARD
    if not (model.is_file() and beside.is_file()):
        return {}
    try:
        foreign = not is_card(read_json(beside))
    except UserError:
        foreign = True
    if foreign:
        typer.echo(f"warning: {beside}: not a card of irrepress, left aside", err=True)
        return {}
    card = read_card(beside)
    # Other files beside a study's model, such as an exported copy, have no card of their own.
    belongs = model.name == "model.pt" or not (model.parent / "model.pt").exists()
    if belongs and (mistake := mismatch(model, card, beside)) is not None:
        typer.echo(f"warning: {mistake}", err=True)
    return card


def _pairs(option: str, texts: list[str] | None) -> Iterable[tuple[str, str]]:
    """Yield name and value of options that are given as NAME=VALUE."""
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UserError(f"{option} {text}: expected NAME=VALUE, such as {option} head=pbe")
        yield name, value


def _load(
    model: str,
    family: str | None,
    modal: str | None,
    licence: str | None,
    dtype: NumberType = "float32",
) -> tuple[Any, Any]:
    """Return the family's adapter and the model."""
    import torch

    from irrepress.catalogue.families import is_path, missing_packages
    from irrepress.families import family_names, get_family
    from irrepress.families.generic.file_kinds import check_kind

    if is_path(model) and Path(model).exists():
        check_kind(Path(model))
    known = _card_of(Path(model))
    family, modal = family or known.get("family"), modal or known.get("modal")
    if family is not None:
        adapter = get_family(family)
        source = adapter.resolve(model, licence=licence)
        return adapter, adapter.load(source, modal=modal, dtype=getattr(torch, dtype))
    # From the last to the first: fairchem alone takes seconds to import.
    installed = [name for name in reversed(family_names()) if not missing_packages(name)]
    if not installed:
        raise UserError(
            f"no family of models is installed in this Python; known: {family_names()}. Install "
            "one with: pip install 'irrepress[sevennet]'"
        )
    refusals = []
    for name in installed:
        adapter = get_family(name)
        try:
            source = adapter.resolve(model, licence=licence)
            return adapter, adapter.load(source, modal=modal, dtype=getattr(torch, dtype))
        except UserError as error:
            refusals.append((name, error))
    if len(refusals) == 1:
        raise refusals[0][1]
    reasons = "; ".join(f"{name}: {error}" for name, error in refusals)
    raise UserError(f"{model}: no installed family reads it, name it by --family ({reasons})")
