"""The command that measures a model beside its parent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irrepress.cli.options import (
    DeviceOption,
    JsonOption,
    LicenceOption,
    ModalOption,
    ModelArgument,
    SeedOption,
    SetOption,
    settings,
)
from irrepress.cli.output import print_json, print_table
from irrepress.core.errors import UserError

if TYPE_CHECKING:
    from irrepress.evaluation.physics.verdicts import Validated


# Exit codes by result; 2 is that of mistakes in the input.
_CODES = {"passed": 0, "failed": 1, "incomplete": 3}


def validate(
    model: ModelArgument,
    structures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STRUCTURES...", help="CIF, POSCAR, extxyz, ...: files, folders, patterns."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="PARENT",
            help="Path or keyword of what it is compared with; by default what its card says.",
        ),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(
            metavar="K...", help="Temperatures of dynamics: --temperature 300 900; by default 300."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time limit for all checks of the model, by default 5; of the parent's three "
            "times as much."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of validation.json and the parent's values, from which the same command "
            "goes on.",
        ),
    ] = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what users do with a model beside its parent, one verdict a line.

    Errors on new dynamics, energy conservation, stability, distributions, equation of state,
    elastic constants, phonons, short range. The exit code is 1 if a quantity is not within its
    tolerance, and 3 if none is, but errors on new dynamics, the energy in NVE or stability could
    not be judged.
    """
    if Path(model).suffix in (".yaml", ".yml"):
        raise UserError(f"validate {model}: a config is checked by 'irrepress check {model}' now")
    if not structures:
        raise UserError(f"validate {model}: name structures to measure it on, such as cell.cif")
    import irrepress

    potential = irrepress.load(model, device=device, modal=modal, licence=licence)
    parent = None
    if against is not None:
        parent = irrepress.load(against, device=device, modal=modal, licence=licence)
    proof = potential.validate(
        structures,
        temperatures=temperature or [300.0],
        against=parent,
        seed=seed,
        work_dir=out,
        **_given(minutes, set_),
    )
    _mark_card(Path(model), proof.record)
    if as_json:
        print_json(proof.record.content())
    else:
        from irrepress.evaluation.physics.verdicts import COLUMNS

        print_table(proof.title, COLUMNS, proof.record.rows())
        for line in proof.remarks():
            typer.echo(line)
    if code := _CODES[proof.record.result]:
        raise typer.Exit(code)


def _given(minutes: float | None, texts: list[str] | None) -> dict[str, Any]:
    """Return the settings that options give; ``tolerances.forces=2`` is one of a section."""
    given: dict[str, Any] = {}
    if minutes is not None:
        given |= {"minutes": minutes, "parent_minutes": 3 * minutes}
    for name, value in settings(texts).items():
        section, dot, key = name.partition(".")
        if dot:
            given.setdefault(section, {})[key] = value
        else:
            given[name] = value
    return given


def _mark_card(model: Path, validated: "Validated") -> None:
    """Let the card beside a model say how it went, if there is one and it belongs to it."""
    from irrepress.study.cards import CARD, Card, card_path, mark_validated, mismatch

    own = card_path(model)
    path = own if own.is_file() else model.with_name(CARD)
    if model.is_file() and path.is_file() and mismatch(model, Card.load(path), path) is None:
        mark_validated(path, validated.mark())
