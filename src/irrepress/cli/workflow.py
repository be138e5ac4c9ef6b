"""Commands that run the workflow on a user's own files, or write a config for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from irrepress.cli.options import (
    FamilyOption,
    LicenceOption,
    ModalOption,
    ModelArgument,
    RuntimeOption,
)
from irrepress.cli.output import print_table
from irrepress.cli.passing_on import passed_on
from irrepress.core.errors import UserError

if TYPE_CHECKING:
    from irrepress.cli.asked import Asked
    from irrepress.pruning.config import Runtime
    from irrepress.study.drafts import Draft
    from irrepress.study.launch import Launch
    from irrepress.study.plan_target import Target
    from irrepress.study.study_folder import StudyFolder

StructuresArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="STRUCTURES...",
        help="Files, folders, patterns: CIF, POSCAR, trajectories, or labelled frames.",
    ),
]
TemperatureOption = Annotated[
    list[float] | None,
    typer.Option(
        "--temperature",
        metavar="K...",
        help="Without labels: temperatures that the model is for, 300 900; by default 300.",
    ),
]
PressureOption = Annotated[
    float | None,
    typer.Option(
        "--pressure", metavar="GPA", help="Without labels: the cell changes at this pressure."
    ),
]
ClosePairsOption = Annotated[
    bool,
    typer.Option(
        "--close-pairs",
        help="Without labels: learn what keeps atoms apart that come far closer than bonds, as in "
        "collisions, at some cost of accuracy elsewhere.",
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        metavar="FRAMES",
        help="Labelled frames besides, which the model is fine-tuned on in the end. Repeatable.",
    ),
]
SpeedupOption = Annotated[
    float | None, typer.Option(help="How many times faster the model is to be, as measured here.")
]
ParametersOption = Annotated[
    float | None, typer.Option(help="Fraction of the parameters that may stay.")
]
IrrepsOption = Annotated[
    str | None, typer.Option(help="Irreps of the node features that stay: 64x0e+32x1e.")
]
FilterOption = Annotated[
    int | None, typer.Option("--filter-lmax", help="Highest order of the filter, with --irreps.")
]
KeysOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keys",
        metavar="LABEL=KEY",
        help="Where labels stand in the files: energy=REF_energy, group=run, ... Repeatable.",
    ),
]
UnitsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--units",
        metavar="NAME=UNIT",
        help="Units of the files: energy=Hartree, stress=kbar, stress_sign=vasp. Repeatable.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]


def compress(
    context: typer.Context,
    model: ModelArgument,
    structures: StructuresArgument,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the config and results.")],
    speedup: SpeedupOption = None,
    runtime: RuntimeOption = "native",
    parameters: ParametersOption = None,
    irreps: IrrepsOption = None,
    filter_lmax: FilterOption = None,
    temperature: TemperatureOption = None,
    pressure: PressureOption = None,
    close_pairs: ClosePairsOption = False,
    labels: LabelsOption = None,
    keys: KeysOption = None,
    units: UnitsOption = None,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    device: DeviceOption = "auto",
    cores: Annotated[int | None, typer.Option(min=1, help="Cores; by default all.")] = None,
    profile: Annotated[
        str, typer.Option(help="local, slurm, or a profile of Snakemake of your own.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the config, and say what a run would make.")
    ] = False,
) -> None:
    """Make a smaller and faster model for your own system, from structures or labelled frames.

    Structures without labels are labelled by the model itself: its dynamics from them are what the
    smaller one learns. Writes a config to FOLDER/config.yaml and runs the workflow on it. Called
    again, it goes on where it was; a config that was edited is used as it is. What stands after --
    is passed on to Snakemake.
    """
    from irrepress.cli.asked import Asked
    from irrepress.study.launch import INTERRUPTED, Launch
    from irrepress.study.study_folder import StudyFolder

    folder = StudyFolder(out)
    asked = Asked.of(
        model,
        structures,
        _target(speedup, parameters, irreps, filter_lmax, runtime),
        temperatures=temperature,
        pressure=pressure,
        close_pairs=close_pairs,
        labels=labels,
        keys=keys,
        units=units,
        device=device,
        **{"family": family, "modal": modal, "licence": licence},
    )
    launch = Launch(folder, profile, cores, passed_on(context))
    command = launch.by_hand()  # before time is spent: Snakemake may be missing
    if folder.is_begun(asked.record()):
        typer.echo(f"{folder.config_file}: is there and is used as it is")
    else:
        _begin(folder, asked, command, check_speed=profile == "local")
    if dry_run:
        _tell_what_would_be_made(folder, launch)
        return
    code = launch.run()
    if code == INTERRUPTED:
        typer.echo(
            "irrepress: interrupted; what is done is kept, the same command goes on", err=True
        )
    elif code:
        reason = launch.reason_of_failure()
        typer.echo(f"irrepress: {reason or 'the workflow failed'}", err=True)
    else:
        _tell_what_was_made(folder, command)
    if code:
        raise typer.Exit(code)


def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Folder of the new study.")],
    structures: StructuresArgument,
    model: Annotated[
        str, typer.Option(help="Path of the model to compress, or a keyword.")
    ] = "7net-l3i5",
    speedup: SpeedupOption = None,
    runtime: RuntimeOption = "native",
    parameters: ParametersOption = None,
    irreps: IrrepsOption = None,
    filter_lmax: FilterOption = None,
    temperature: TemperatureOption = None,
    pressure: PressureOption = None,
    close_pairs: ClosePairsOption = False,
    labels: LabelsOption = None,
    keys: KeysOption = None,
    units: UnitsOption = None,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Look into files and write a commented config for a study of them: NAME/config.yaml."""
    from irrepress.cli.asked import Asked
    from irrepress.study.launch import Launch
    from irrepress.study.study_folder import StudyFolder

    folder = StudyFolder(name)
    if (speedup, parameters, irreps, filter_lmax) == (None, None, None, None):
        speedup = 5.0
        typer.echo("- five times as fast, for nothing else was asked for (--speedup, --irreps ...)")
    asked = Asked.of(
        model,
        structures,
        _target(speedup, parameters, irreps, filter_lmax, runtime),
        temperatures=temperature,
        pressure=pressure,
        close_pairs=close_pairs,
        labels=labels,
        keys=keys,
        units=units,
        device=device,
        **{"family": family, "modal": modal, "licence": licence},
    )
    if folder.config_file.exists():
        raise UserError(f"{folder.config_file}: is there; edit it, or name another folder")
    folder.is_begun(asked.record())
    command = Launch(folder).by_hand()
    _begin(folder, asked, command, check_speed=False)
    typer.echo(f"Edit it, and run it:\n  {command}")


def _begin(folder: "StudyFolder", asked: "Asked", command: str, *, check_speed: bool) -> None:
    """Look into the files, say what was found, and write the config of a study of them."""
    from irrepress.catalogue.families import missing_packages

    typer.echo("Looking into the files ...", err=True)
    draft = asked.draft(folder.path, command)
    for finding in draft.findings:
        typer.echo(f"- {finding}")
    model = draft.model
    if missing_packages(model.family):
        typer.echo(
            f"- {model.family} lives in another environment, so that elements and speed of "
            f"{model.checkpoint} are checked by the workflow only"
        )
    else:
        _check_against_model(draft, check_speed=check_speed)
    folder.begin(draft, asked.record())
    typer.echo(f"{folder.config_file}: written; edit what you like, it is not written again")


def _check_against_model(draft: "Draft", *, check_speed: bool) -> None:
    """Check what needs the model itself: its elements, and how fast it can become."""
    from irrepress.study.measuring import (
        check_elements_known,
        check_shape,
        check_speedup,
        load_parent,
    )

    parent = load_parent(draft.model, draft.device)
    check_elements_known(draft, parent)
    check_shape(draft, parent)
    if check_speed and draft.target.speedup is not None:
        typer.echo(f"- {check_speedup(draft, parent)}")


def _tell_what_would_be_made(folder: "StudyFolder", launch: "Launch") -> None:
    from irrepress.study.estimate import estimate

    counts = launch.count_jobs()
    if not counts:
        typer.echo("Nothing is left to do.")
        return
    rows = [(rule, str(count)) for rule, count in counts.items()]
    print_table("jobs of a run", ("stage", "jobs"), rows)
    typer.echo(estimate(folder.config(), counts))


def _tell_what_was_made(folder: "StudyFolder", command: str) -> None:
    for path in folder.models():
        typer.echo(f"Model:  {path}")
    for validated in folder.validations():
        typer.echo(f"Proof:  {validated.summary()}")
    if folder.page().exists():
        typer.echo(f"Report: {folder.page()}")
    typer.echo(f"To go on, edit {folder.config_file} and repeat this command, or by hand:")
    typer.echo(f"  {command}")


def _target(
    speedup: float | None,
    parameters: float | None,
    irreps: str | None,
    filter_lmax: int | None,
    runtime: "Runtime",
) -> "Target":
    from irrepress.study.plan_target import Target

    if filter_lmax is not None and irreps is None:
        raise UserError("--filter-lmax belongs to --irreps; give both")
    fractions = {"speedup": speedup, "parameters": parameters}
    return Target.of(fractions, irreps=irreps, filter_lmax=filter_lmax, runtime=runtime)
