"""The command that compares a model with labels."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from irrepress.cli.options import (
    DeviceOption,
    EnergyKeyOption,
    FamilyOption,
    ForcesKeyOption,
    FormatOption,
    JsonOption,
    LicenceOption,
    ModalOption,
    ModelArgument,
    SelectOption,
    StressKeyOption,
    UnitOption,
    file_settings,
)
from irrepress.cli.output import print_json, print_table, warn
from irrepress.core.errors import UserError


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
    energy_key: EnergyKeyOption = None,
    forces_key: ForcesKeyOption = None,
    stress_key: StressKeyOption = None,
    align: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(
            help="Take out a constant per element between the energies of labels and model, as "
            "between two levels of theory; auto: where it is beyond doubt."
        ),
    ] = "auto",
    data_format: FormatOption = "auto",
    unit: UnitOption = None,
    select: SelectOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Structures per pass.")] = 8,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare a model with labels: MAE and RMSE of energy, forces and stress.

    The exit code is 1 if a prediction is not finite, and 2 if nothing could be compared.
    """
    from irrepress.core.devices import resolve_device
    from irrepress.core.section import make_section
    from irrepress.data.config import Files
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
        keys = (energy_key, forces_key, stress_key)
        said = file_settings(keys, data_format, unit, select)
        files = make_section(Files, "evaluate", {"source": "files", "paths": data, **said})
        reading = read_files(files)
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
