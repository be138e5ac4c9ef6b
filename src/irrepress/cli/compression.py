"""Commands that make a smaller model of a larger one, and train it.

Each is one step of the front door (`irrepress.api`), from a file to a file.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from irrepress.cli.options import (
    DeviceOption,
    EnergyKeyOption,
    FamilyOption,
    ForcesKeyOption,
    FormatOption,
    FramesArgument,
    LicenceOption,
    ModalOption,
    ModelArgument,
    OutOption,
    OverwriteOption,
    ParentOption,
    RuntimeOption,
    SeedOption,
    SelectOption,
    SetOption,
    StressKeyOption,
    UnitOption,
    file_settings,
    settings,
)
from irrepress.core.errors import UserError
from irrepress.core.files import refuse_existing

if TYPE_CHECKING:
    from irrepress.api import Potential

StepsOption = Annotated[int, typer.Option(min=1, help="Optimizer steps.")]
WorkDirOption = Annotated[
    Path | None,
    typer.Option(help="Folder for checkpoints, from which the same command goes on."),
]


def prune(
    model: ModelArgument,
    out: OutOption,
    frames: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FRAMES]...",
            help="Structures that blocks are scored on, labelled or not: HDF5 store, files, ...",
        ),
    ] = None,
    speedup: Annotated[float | None, typer.Option(help="How many times as fast.")] = None,
    runtime: RuntimeOption = "native",
    flops: Annotated[float | None, typer.Option(help="Fraction of operations that stays.")] = None,
    parameters: Annotated[
        float | None, typer.Option(help="Fraction of parameters that stays.")
    ] = None,
    blocks: Annotated[
        float | None, typer.Option(help="Fraction of irreps blocks that stays.")
    ] = None,
    irreps: Annotated[
        str | None, typer.Option(help="Irreps of every layer: 64x0e+32x1e; or a shape's name.")
    ] = None,
    filter_lmax: Annotated[int | None, typer.Option(help="Highest order of the filter.")] = None,
    cutoff: Annotated[float | None, typer.Option(help="A shorter cutoff in Å.")] = None,
    layers: Annotated[
        str | None, typer.Option(help="Message-passing layers to keep: 3, which: 0,2,4, or auto.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="A plan that is there already, in place of all these.")
    ] = None,
    criterion: Annotated[
        Literal["taylor", "fisher", "hessian", "magnitude", "activation", "random"],
        typer.Option(help="What blocks are scored by."),
    ] = "fisher",
    axes: Annotated[
        Literal["both", "channels"], typer.Option(help="channels keeps every order.")
    ] = "both",
    allocation: Annotated[
        Literal["greedy", "uniform", "iterated", "measured"],
        typer.Option(help="How a budget is spread over layers and orders."),
    ] = "greedy",
    set_: SetOption = None,
    seed: SeedOption = 0,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    energy_key: EnergyKeyOption = None,
    forces_key: ForcesKeyOption = None,
    stress_key: StressKeyOption = None,
    data_format: FormatOption = "auto",
    unit: UnitOption = None,
    select: SelectOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Remove irreps blocks of a model, towards a speed-up, a fraction or a shape."""
    import irrepress

    refuse_existing(out, overwrite)
    given: dict[str, Any] = {"family": family, "modal": modal, "licence": licence}
    large = irrepress.load(model, device=device, **given)
    if plan is not None:
        small = large.prune(plan, name=plan.stem, seed=seed)
    else:
        keys = (energy_key, forces_key, stress_key)
        said = file_settings(keys, data_format, unit, select)
        chosen = large.plan(
            irrepress.read(frames, **said) if frames else None,
            speedup=speedup,
            flops=flops,
            parameters=parameters,
            blocks=blocks,
            irreps=irreps,
            filter_lmax=filter_lmax,
            cutoff=cutoff,
            layers=_layers(layers),
            runtime=runtime,
            criterion=criterion,
            axes=axes,
            allocation=allocation,
            seed=seed,
            **settings(set_),
        )
        typer.echo(chosen)
        small = chosen.apply()
    _save(small, out, overwrite)


def compensate(
    model: ModelArgument,
    frames: FramesArgument,
    out: OutOption,
    parent: ParentOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    licence: LicenceOption = None,
    data_format: FormatOption = "auto",
    select: SelectOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Fit the kept weights of a pruned model to its parent's features; no labels are needed."""
    import irrepress

    refuse_existing(out, overwrite)
    small = irrepress.load(model, device=device, licence=licence, parent=parent)
    read = irrepress.read(frames, **file_settings((None,) * 3, data_format, None, select))
    _save(small.compensate(read, seed=seed, **settings(set_)), out, overwrite)


def finetune(
    model: ModelArgument,
    frames: FramesArgument,
    out: OutOption,
    steps: StepsOption = 2000,
    restrict_elements: Annotated[
        bool, typer.Option(help="Keep the elements of the frames alone, which loses nothing.")
    ] = True,
    work_dir: WorkDirOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    energy_key: EnergyKeyOption = None,
    forces_key: ForcesKeyOption = None,
    stress_key: StressKeyOption = None,
    data_format: FormatOption = "auto",
    unit: UnitOption = None,
    select: SelectOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Train a model on the labels of frames; the weights best on their valid part stay."""
    import irrepress

    refuse_existing(out, overwrite)
    given: dict[str, Any] = {"family": family, "modal": modal, "licence": licence}
    start = irrepress.load(model, device=device, **given)
    keys = (energy_key, forces_key, stress_key)
    trained = start.finetune(
        irrepress.read(frames, **file_settings(keys, data_format, unit, select)),
        steps=steps,
        restrict_elements=restrict_elements,
        seed=seed,
        work_dir=work_dir,
        **settings(set_),
    )
    _save(trained, out, overwrite)


def distill(
    model: ModelArgument,
    frames: FramesArgument,
    out: OutOption,
    steps: StepsOption = 2000,
    features: Annotated[
        float, typer.Option(min=0, help="Weight of the parent's features beside its predictions.")
    ] = 0.0,
    work_dir: WorkDirOption = None,
    parent: ParentOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    licence: LicenceOption = None,
    data_format: FormatOption = "auto",
    select: SelectOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Train a pruned model on what its parent says of frames; no labels are needed."""
    import irrepress

    refuse_existing(out, overwrite)
    small = irrepress.load(model, device=device, licence=licence, parent=parent)
    trained = small.distill(
        irrepress.read(frames, **file_settings((None,) * 3, data_format, None, select)),
        steps=steps,
        features=features,
        seed=seed,
        work_dir=work_dir,
        **settings(set_),
    )
    _save(trained, out, overwrite)


def _layers(text: str | None) -> Literal["auto"] | int | list[int] | None:
    """Return how many layers an option asks for, or which."""
    if text is None:
        return None
    if text == "auto":
        return "auto"
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--layers: {text!r} is neither a number of layers, such as 3, nor a list of those to "
            "keep, such as 0,2,4, nor auto"
        ) from None
    return numbers if "," in text else numbers[0]


def _save(potential: "Potential", out: Path, overwrite: bool) -> None:
    """Write a potential, and say what it is and how it is used."""
    from irrepress.catalogue.families import loading_line

    potential.save(out, overwrite=overwrite)
    model = potential.model
    typer.echo(potential)
    typer.echo(f"{out}: {loading_line(model.family.name, out, model.modal)}")
