"""Arguments and options that several commands share."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from irrepress.core.errors import UserError

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


FramesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FRAMES...",
        help="Structures: HDF5 store, files, folders, quoted patterns.",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:1.")]
OutOption = Annotated[
    Path, typer.Option("--out", help="Where the model goes; its card and plan go beside it.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output if it exists.")
]
ParentOption = Annotated[
    str | None,
    typer.Option("--parent", help="What the model was pruned from; by default as its card says."),
]
RuntimeOption = Annotated[
    Literal["native", "torchscript", "symmetrix"],
    typer.Option("--runtime", help="What time is measured in; native: the family's own code."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed for everything random.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other setting that a config has for this step, the value as YAML. Repeatable.",
    ),
]
EnergyKeyOption = Annotated[
    str | None, typer.Option("--energy-key", help="Key of the energy in the file.")
]
ForcesKeyOption = Annotated[
    str | None, typer.Option("--forces-key", help="Key of the forces in the file.")
]
StressKeyOption = Annotated[
    str | None, typer.Option("--stress-key", help="Key of the stress in the file.")
]
FormatOption = Annotated[
    str, typer.Option("--format", help="What the files are, as in a config: vasp-out, ...")
]
UnitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="NAME=UNIT",
        help="One of a config's units: energy=Hartree, forces=Hartree/Bohr, stress=kbar, "
        "stress_sign=vasp, stress_order='xx yy zz xy yz xz', ... Repeatable.",
    ),
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        metavar="KEY=VALUE",
        help="Only frames with this value: head=pbe. Repeatable, for further values or keys.",
    ),
]


def file_settings(
    keys: Sequence[str | None],
    data_format: str,
    units: list[str] | None,
    select: list[str] | None,
) -> dict[str, Any]:
    """Return what options say of files, as a config would; without what is not said.

    Args:
        keys: keys of energy, forces and stress.
        data_format: what the files are.
        units: texts NAME=UNIT.
        select: texts KEY=VALUE.

    Raises:
        UserError: a text is not of this form.
    """
    chosen: dict[str, list[str]] = {}
    for key, value in pairs("--select", select):
        chosen.setdefault(key, []).append(value)
    named = zip(("energy", "forces", "stress"), keys, strict=True)
    said = {
        "keys": {name: key for name, key in named if key is not None},
        "units": dict(pairs("--unit", units)),
        "select": chosen,
        "format": "" if data_format == "auto" else data_format,
    }
    return {name: value for name, value in said.items() if value}


def settings(texts: list[str] | None) -> dict[str, Any]:
    """Return the settings that ``--set`` gives, values read as YAML.

    Raises:
        UserError: a text is not of the form NAME=VALUE, or its value is no YAML.
    """
    import yaml

    found = {}
    for name, value in pairs("--set", texts):
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {name}={value}: the value is no YAML; quote it") from None
    return found


def pairs(option: str, texts: list[str] | None) -> Iterator[tuple[str, str]]:
    """Yield name and value of an option that is given as NAME=VALUE, any number of times.

    Raises:
        UserError: a text is not of this form.
    """
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UserError(f"{option} {text}: expected NAME=VALUE, such as {option} head=pbe")
        yield name, value
