"""The command that puts two models side by side."""

from typing import Annotated, Literal

import typer

from irrepress.cli.options import (
    DeviceOption,
    EnergyKeyOption,
    ForcesKeyOption,
    FormatOption,
    FramesArgument,
    JsonOption,
    LicenceOption,
    RuntimeOption,
    SelectOption,
    StressKeyOption,
    UnitOption,
    file_settings,
)
from irrepress.cli.output import print_json


def compare(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Path of a model, or a keyword.")],
    other: Annotated[
        str, typer.Argument(metavar="OTHER", help="What it is compared with: path or keyword.")
    ],
    frames: FramesArgument,
    part: Annotated[
        Literal["auto", "all", "train", "valid", "test"],
        typer.Option(
            help="Which of the frames; auto: the test part if a model has seen the others, else "
            "all."
        ),
    ] = "auto",
    align: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(help="Take out a constant per element between labels and models."),
    ] = "auto",
    timing_atoms: Annotated[int, typer.Option(min=1, help="Size of the timed crystal.")] = 64,
    timing_repeats: Annotated[int, typer.Option(min=1, help="Least number of rounds.")] = 5,
    runtime: RuntimeOption = "native",
    modal: Annotated[str | None, typer.Option(help="Level of theory of the first model.")] = None,
    other_modal: Annotated[
        str | None, typer.Option(help="Level of theory of the other model.")
    ] = None,
    licence: LicenceOption = None,
    energy_key: EnergyKeyOption = None,
    forces_key: ForcesKeyOption = None,
    stress_key: StressKeyOption = None,
    data_format: FormatOption = "auto",
    unit: UnitOption = None,
    select: SelectOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Structures per pass.")] = 8,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare two models: errors, parameters, operations, and time side by side."""
    import irrepress

    first = irrepress.load(model, device=device, modal=modal, licence=licence)
    second = irrepress.load(other, device=device, modal=other_modal, licence=licence)
    keys = (energy_key, forces_key, stress_key)
    found = first.compare(
        second,
        irrepress.read(frames, **file_settings(keys, data_format, unit, select)),
        part=part,
        alignment=align,
        batch_size=batch_size,
        timing_atoms=timing_atoms,
        timing_repeats=timing_repeats,
        runtime=runtime,
    )
    if as_json:
        print_json(found.record())
    else:
        typer.echo(found)
