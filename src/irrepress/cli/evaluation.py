"""The command that compares a model with labels."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from irrepress.cli.options import (
    FamilyOption,
    JsonOption,
    LicenceOption,
    ModalOption,
    ModelArgument,
    pairs,
)
from irrepress.cli.output import print_json, print_table, warn
from irrepress.core.errors import UserError

if TYPE_CHECKING:
    from irrepress.data.config import Files


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
    from irrepress.core.devices import resolve_device
    from irrepress.data.reading import is_store, read_files
    from irrepress.data.store import StructureStore
    from irrepress.evaluation.direct import evaluate_files, evaluate_store
    from irrepress.study.loading import load_model

    loaded = load_model(model, family, modal=modal, licence=licence, warn=warn).model
    loaded.to(resolve_device(device))
    options: dict[str, Any] = {"alignment": align, "batch_size": batch_size}
    name = " ".join(data)
    if data_format == "auto" and len(data) == 1 and is_store(data[0]):
        store = StructureStore(data[0])
        found = evaluate_store(loaded, store, split, **options)
        notes = list(store.info.notes)
    else:
        if split is not None:
            raise UserError(f"--split: {name} has no splits; only HDF5 stores do")
        keys = {"energy": energy_key, "forces": forces_key, "stress": stress_key}
        reading = read_files(_files(data, data_format, keys, unit, select))
        found = evaluate_files(loaded, reading, name, **options)
        notes = list(reading.notes)
    if as_json:
        content = {"model": model, "data": name, **found.record()}
        print_json(content | {"notes": [asdict(note) for note in notes]})
    else:
        titles = ("quantity", "MAE", "RMSE", "unit", "structures")
        print_table(f"{model} on {name}", titles, found.rows())
        for line in found.remarks():
            typer.echo(line)
        for note in notes:
            typer.echo(f"note: {note}")
    if failures := found.found.failures:
        typer.echo(f"irrepress: {failures.message(model)}", err=True)
        raise typer.Exit(1)


def _files(
    paths: list[str],
    data_format: str,
    keys: dict[str, str | None],
    units: list[str] | None,
    select: list[str] | None,
) -> "Files":
    """Return the files that options describe, as a config would describe them.

    Raises:
        UserError: an option is not what a config may say.
    """
    from pydantic import ValidationError

    from irrepress.data.config import Files, LabelKeys

    chosen: dict[str, list[str]] = {}
    for key, value in pairs("--select", select):
        chosen.setdefault(key, []).append(value)
    try:
        return Files(
            source="files",
            paths=paths,
            format=data_format,
            keys=LabelKeys(**keys),
            units=dict(pairs("--unit", units)),
            select=chosen,
        )
    except ValidationError as error:
        (mistake, *_) = error.errors()
        reason = mistake.get("ctx", {}).get("error", mistake["msg"])
        raise UserError(f"{'.'.join(map(str, mistake['loc']))}: {reason}") from None
