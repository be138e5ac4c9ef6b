"""Commands that run the workflow on a user's own files, or write a config for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irrepress.cli.options import FamilyOption, LicenceOption, ModalOption, ModelArgument, pairs
from irrepress.cli.output import print_table
from irrepress.cli.passing_on import passed_on
from irrepress.core.errors import UserError

if TYPE_CHECKING:
    from irrepress.catalogue.model_ref import ModelRef
    from irrepress.data.config import Files
    from irrepress.study.drafts import Draft, Target
    from irrepress.study.launch import Launch
    from irrepress.study.study_folder import Request, StudyFolder

FramesArgument = Annotated[
    list[str],
    typer.Argument(metavar="FRAMES...", help="Labelled structures: files, folders, patterns."),
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
    frames: FramesArgument,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the config and results.")],
    speedup: SpeedupOption = None,
    parameters: ParametersOption = None,
    irreps: IrrepsOption = None,
    filter_lmax: FilterOption = None,
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
    """Make a smaller and faster model for your own system, from labelled frames of it.

    Writes a config to FOLDER/config.yaml and runs the workflow on it. Called again, it goes on
    where it was; a config that was edited is used as it is. What stands after -- is passed on to
    Snakemake.
    """
    from irrepress.study.launch import INTERRUPTED, Launch
    from irrepress.study.study_folder import StudyFolder

    folder = StudyFolder(out)
    target = _target(speedup, parameters, irreps, filter_lmax)
    files = _files(frames, keys, units)
    reference = _model(model, family, modal, licence)
    request = _request(reference, files, target) | {"device": device}
    launch = Launch(folder, profile, cores, passed_on(context))
    command = launch.by_hand()  # before time is spent: Snakemake may be missing
    if folder.is_begun(request):
        typer.echo(f"{folder.config_file}: is there and is used as it is")
    else:
        here = profile == "local"
        _begin(folder, reference, files, target, request, device, command, check_speed=here)
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
    frames: FramesArgument,
    model: Annotated[
        str, typer.Option(help="Path of the model to compress, or a keyword.")
    ] = "7net-l3i5",
    speedup: SpeedupOption = None,
    parameters: ParametersOption = None,
    irreps: IrrepsOption = None,
    filter_lmax: FilterOption = None,
    keys: KeysOption = None,
    units: UnitsOption = None,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Look into files and write a commented config for a study of them: NAME/config.yaml."""
    from irrepress.study.launch import Launch
    from irrepress.study.study_folder import StudyFolder

    folder = StudyFolder(name)
    if (speedup, parameters, irreps, filter_lmax) == (None, None, None, None):
        speedup = 5.0
    target = _target(speedup, parameters, irreps, filter_lmax)
    files = _files(frames, keys, units)
    reference = _model(model, family, modal, licence)
    request = _request(reference, files, target) | {"device": device}
    if folder.config_file.exists():
        raise UserError(f"{folder.config_file}: is there; edit it, or name another folder")
    folder.is_begun(request)
    command = Launch(folder).by_hand()
    _begin(folder, reference, files, target, request, device, command, check_speed=False)
    typer.echo(f"Edit it, and run it:\n  {command}")


def _begin(
    folder: "StudyFolder",
    model: "ModelRef",
    files: "Files",
    target: "Target",
    request: "Request",
    device: str,
    command: str,
    *,
    check_speed: bool,
) -> None:
    """Look into the files, say what was found, and write the config of a study of them."""
    from irrepress.catalogue.families import missing_packages
    from irrepress.study.drafts import Draft, plain_name
    from irrepress.study.examination import check_labelled, examine

    typer.echo("Looking into the files ...", err=True)
    examination = examine(files)
    check_labelled(examination)
    for finding in examination.findings:
        typer.echo(f"- {finding}")
    draft = Draft(
        plain_name(folder.path.resolve().name), model, examination, target, device, command
    )
    if missing_packages(model.family):
        typer.echo(
            f"- {model.family} lives in another environment, so that elements and speed of "
            f"{model.checkpoint} are checked by the workflow only"
        )
    else:
        _check_against_model(draft, check_speed=check_speed)
    folder.begin(draft, request)
    typer.echo(f"{folder.config_file}: written; edit what you like, it is not written again")


def _check_against_model(draft: "Draft", *, check_speed: bool) -> None:
    """Check what needs the model itself: its elements, and how fast it can become."""
    from irrepress.study.measuring import check_elements_known, check_speedup, load_parent

    parent = load_parent(draft.model, draft.device)
    check_elements_known(draft, parent)
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
    if folder.page().exists():
        typer.echo(f"Report: {folder.page()}")
    typer.echo(f"To go on, edit {folder.config_file} and repeat this command, or by hand:")
    typer.echo(f"  {command}")


def _target(
    speedup: float | None, parameters: float | None, irreps: str | None, filter_lmax: int | None
) -> "Target":
    from pydantic import ValidationError

    from irrepress.core.target import Explicit
    from irrepress.study.drafts import Target

    if filter_lmax is not None and irreps is None:
        raise UserError("--filter-lmax belongs to --irreps; give both")
    if irreps is None:
        return Target(speedup, parameters)
    try:
        shape = Explicit(irreps=irreps, filter_lmax=filter_lmax)
    except ValidationError as error:
        raise UserError(f"--irreps {irreps}: {_reason(error)}") from None
    return Target(speedup, parameters, shape)


def _files(frames: list[str], keys: list[str] | None, units: list[str] | None) -> "Files":
    """Return the files as a config names them, by absolute paths."""
    from pydantic import ValidationError

    from irrepress.data.config import Files

    content: dict[str, Any] = {
        "source": "files",
        "paths": [str(Path(path).expanduser().absolute()) for path in frames],
        "keys": dict(pairs("--keys", keys)),
        "units": dict(pairs("--units", units)),
        "split": {"train": 0.8, "valid": 0.1, "test": 0.1},
    }
    try:
        return Files.model_validate(content)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{place}: {_reason(error)}") from None


def _reason(error: Any) -> str:
    mistake = error.errors()[0]
    return str(mistake.get("ctx", {}).get("error", mistake["msg"]))


def _model(model: str, family: str | None, modal: str | None, licence: str | None) -> "ModelRef":
    from irrepress.study.drafts import find_model

    return find_model(model, family, modal=modal, licence=licence)


def _request(model: "ModelRef", files: "Files", target: "Target") -> dict[str, Any]:
    """Return what a study is begun with, to know it again."""
    return {
        "model": model.checkpoint,
        "modal": model.modal,
        "frames": files.paths,
        "keys": files.keys.model_dump(exclude_defaults=True),
        "units": files.units.model_dump(exclude_defaults=True),
        "speedup": target.speedup,
        "parameters": target.parameters,
        "irreps": None if target.shape is None else target.shape.irreps,
        "filter_lmax": None if target.shape is None else target.shape.filter_lmax,
    }
