"""The command that writes a model in the form of a runtime, with its proof."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from irrepress.cli.options import (
    DeviceOption,
    FamilyOption,
    JsonOption,
    LicenceOption,
    ModalOption,
    ModelArgument,
    OverwriteOption,
)
from irrepress.cli.output import print_json, print_table
from irrepress.deploy.config import TargetName


def deploy(
    model: ModelArgument,
    to: Annotated[TargetName, typer.Option(help="The runtime that the model is for.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAMES",
            help="Structures that the model is checked on; by default some of its elements are "
            "made. Repeatable.",
        ),
    ] = None,
    structures: Annotated[
        int | None, typer.Option(help="Largest number of structures to check on, by default 5.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="PARENT",
            help="Path or keyword of what it is timed beside; by default what its card says.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time limit for times, by default 5; 0: nothing is timed."),
    ] = None,
    largest: Annotated[
        int | None,
        typer.Option(help="Largest number of atoms that is timed, by default 10000."),
    ] = None,
    lmp: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="A LAMMPS with the pair style; by default lmp, if it has it.",
        ),
    ] = None,
    own_form: Annotated[
        bool,
        typer.Option("--own-form", help="TorchScript as the family's package writes it."),
    ] = False,
    cuequivariance: Annotated[
        bool,
        typer.Option("--cuequivariance", help="The file for ML-IAP uses cuEquivariance."),
    ] = False,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    dtype: Annotated[
        Literal["float32", "float64"], typer.Option(help="Type of the model's numbers.")
    ] = "float32",
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model in the form of a runtime, check it there, and time it beside its parent.

    DIR holds the model's file, what runs it (run.py or in.lammps), golden energies, forces and
    stress, and check.py, which compares them where the model is installed.
    """
    import irrepress

    given = {"modal": modal, "licence": licence}
    potential = irrepress.load(model, family=family, device=device, dtype=dtype, **given)
    parent = None
    if against is not None:
        parent = irrepress.load(against, device=device, dtype=dtype, licence=licence)
    asked = {"structures": structures, "minutes": minutes, "largest": largest}
    deployed = potential.deploy(
        to,
        out,
        check=check or None,
        against=parent,
        lammps=lmp,
        overwrite=overwrite,
        own_form=own_form,
        cuequivariance=cuequivariance,
        **{name: value for name, value in asked.items() if value is not None},
    )
    if as_json:
        print_json(deployed.record.content())
        return
    from irrepress.api.deploying import COLUMNS

    if rows := deployed.rows():
        print_table(deployed.title, COLUMNS, rows)
    else:
        typer.echo(deployed.title)
    for line in deployed.remarks():
        typer.echo(line)
    typer.echo(f"Where it is installed: cd {out} && python check.py")
