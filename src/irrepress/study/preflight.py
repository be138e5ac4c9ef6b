"""What a study would run into later, found before it starts.

A config is checked by itself when it is read (`irrepress.study.config`). Here it is compared with
what it names but does not hold: files, families and their packages, checkpoints, systems,
licences.
The Snakefile and ``irrepress validate`` both begin with `check_study`. Neither torch nor a
family's package is imported: the environment of the workflow has none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irrepress.catalogue.datasets.registry import check_licence, get_published
from irrepress.catalogue.families import (
    canonical_keyword,
    check_keyword,
    check_settings,
    family_names,
    is_path,
    known_modals,
    named_shapes,
    number_types,
    shortens_cutoff,
)
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError, nearest
from irrepress.core.files import sha256
from irrepress.data.config import Files, Generated, Perturbed, Published
from irrepress.data.paths import locate
from irrepress.data.sources.generate import check_systems
from irrepress.families.generic.file_kinds import foreign_kind
from irrepress.study.config import Config
from irrepress.study.environments import find_environments, set_up_command
from irrepress.study.models import StudyModel


def check_study(config: Config, source: str, *, packages: bool = True) -> None:
    """Check what a config names, and what would fail in a stage of its study.

    Args:
        config: the config.
        source: what messages call it, such as its path.
        packages: whether the packages of every family have to be here, in this Python or in an
            environment that was set up for it; False where jobs run in conda environments.

    Raises:
        UserError: something is wrong; the message has one line for every mistake.
    """
    if mistakes := list(find_mistakes(config, packages=packages)):
        raise UserError("\n".join(f"{source}: {mistake}" for mistake in mistakes))


def find_mistakes(config: Config, *, packages: bool = True) -> Iterator[str]:
    """Yield every mistake, one line each, as key, value and mend; see `check_study`."""
    for key, model in model_references(config):
        yield from _about_model(key, model)
    if packages:
        yield from _about_environments(config)
    for name, dataset in config.datasets.items():
        yield from _about_dataset(f"datasets.{name}", dataset)
    yield from _about_parts(config)
    yield from _about_labels(config)
    yield from _about_shapes(config)
    yield from _about_families(config)


def remarks(config: Config) -> Iterator[str]:
    """Yield what may not be meant, though it can run, one line each."""
    after = ("recovery", "distillation", "quantization", "export", "downstream")
    idle = [section for section in after if getattr(config, section) is not None]
    idle += ["evaluation.dynamics"] * (config.evaluation.dynamics is not None)
    if idle and not config.train_plans:
        yield (
            f"train_plans is empty, so that nothing is made of {', '.join(idle)}; name plans such "
            f"as {next(iter(config.plans()), 'taylor-0.50')}"
        )
    used = {name for _, name, _ in _parts_used(config)}
    used |= {model.restrict_to for model in config.models.values() if model.restrict_to}
    used |= {each.of for each in config.datasets.values() if isinstance(each, Perturbed)}
    for name in config.datasets:
        if name not in used:
            yield f"datasets.{name} is used by no section"
    labels = getattr(config.datasets[config.evaluation.dataset], "labels", None)
    for name, model in config.models.items():
        if labels is not None and labels_key(labels) == labels_key(model):
            yield (
                f"evaluation.dataset: {config.evaluation.dataset!r} is labelled by models.{name} "
                "itself: errors are how far models are from it, and its own are zero"
            )


def _parts_used(config: Config) -> Iterator[tuple[str, str, str]]:
    """Yield key, dataset and part of everything that a study reads."""
    yield "scoring.dataset", config.scoring.dataset, "train"
    if config.compensation:
        yield "compensation.dataset", config.compensation.dataset, "train"
    trainings = [("recovery", config.recovery), ("distillation", config.distillation)]
    trainings += [(f"models.{name}.training", m.training) for name, m in config.models.items()]
    for key, training in trainings:
        if training is not None and training.dataset is not None:
            yield from ((f"{key}.dataset", training.dataset, part) for part in ("train", "valid"))
    for name in config.downstream.datasets if config.downstream else []:
        yield from (("downstream.datasets", name, part) for part in ("train", "valid", "test"))
    yield "evaluation.dataset", config.evaluation.dataset, "test"
    for name in config.evaluation.dynamics.datasets if config.evaluation.dynamics else []:
        yield "evaluation.dynamics.datasets", name, "test"


def _about_parts(config: Config) -> Iterator[str]:
    """Find parts of datasets that are needed and empty."""
    told: set[tuple[str, str, str]] = set()
    for use in _parts_used(config):
        key, name, part = use
        dataset = config.datasets[name]
        if use in told or _has_part(dataset, part):
            continue
        told.add(use)
        where = f"datasets.{name}.split.{part}"
        files = f", or list files under {part}_paths" if isinstance(dataset, Files) else ""
        yield f"{key}: {name!r} has no {part} part, since {where} is 0; give it a share{files}"


def _has_part(dataset: Any, part: str) -> bool:
    """Whether a part will hold structures, as far as the config tells."""
    split = getattr(dataset, "split", None)
    if isinstance(dataset, Files) and part != "train" and getattr(dataset, f"{part}_paths"):
        return True
    if isinstance(dataset, Published) and split is None:
        return part == "test" or bool(get_published(dataset.name).labels)
    if isinstance(dataset, Published) and not _shared_out(dataset):
        return True
    return split is None or getattr(split, part) > 0


def _shared_out(dataset: Published) -> bool:
    """Whether fractions decide about the parts, since the source gives none."""
    options = get_published(dataset.name).options
    return not {"parts", "lists", "fold"} & set(options)


def _about_families(config: Config) -> Iterator[str]:
    """Find what the family of a compressed model does not do."""
    cutoffs = [f"sweep.explicit.{n}.cutoff" for n, e in config.sweep.explicit.items() if e.cutoff]
    cutoffs += ["sweep.cutoffs"] * any(config.sweep.cutoffs)
    for name in config.compressed_models():
        family = config.models[name].family
        if family not in family_names():
            continue
        if cutoffs and not shortens_cutoff(family):
            yield (
                f"{cutoffs[0]}: the cutoff of models of the family {family} (models.{name}) cannot "
                "be shortened; leave it out"
            )
        for dtype in config.export.dtypes if config.export else []:
            if dtype not in number_types(family):
                yield (
                    f"export.dtypes: files of the family {family} (models.{name}) hold "
                    f"{' and '.join(number_types(family))} only; leave {dtype} out"
                )


def model_references(config: Config) -> Iterator[tuple[str, ModelRef | StudyModel]]:
    """Yield the key and the content of every model that a config names."""
    for name, model in config.models.items():
        yield f"models.{name}", model
    for name, dataset in config.datasets.items():
        if isinstance(dataset, Generated | Perturbed):
            yield f"datasets.{name}.labels", dataset.labels


def labels_key(model: ModelRef | StudyModel) -> tuple[str, str | None, str | None]:
    """Return what decides the labels that a model gives."""
    checkpoint = model.checkpoint
    if checkpoint is not None and is_path(checkpoint):
        checkpoint = str(Path(checkpoint).resolve())
    elif checkpoint is not None:
        checkpoint = canonical_keyword(model.family, checkpoint)
    return model.family, checkpoint, model.modal


def known_families(config: Config) -> list[str]:
    """Return the families of a config's models, without those that there are not."""
    return sorted({model.family for _, model in model_references(config)} & set(family_names()))


def _about_environments(config: Config) -> Iterator[str]:
    for family, reason in find_environments(known_families(config)).lacking.items():
        keys = [key for key, model in model_references(config) if model.family == family]
        yield (
            f"{', '.join(keys)}: {reason}; run '{set_up_command(family)}', or snakemake with "
            "--sdm conda"
        )


def _about_model(key: str, model: ModelRef | StudyModel) -> Iterator[str]:
    if model.family not in family_names():
        yield f"{key}.family: no family {model.family!r}; {nearest(model.family, family_names())}"
        return
    if model.checkpoint is None:
        try:
            check_settings(model.family, model.untrained or {})
        except UserError as error:
            yield f"{key}.{error}"
        return
    if is_path(model.checkpoint):
        yield from _about_checkpoint_file(key, Path(model.checkpoint), model.sha256)
        return
    try:
        check_keyword(model.family, model.checkpoint, model.licence)
    except UserError as error:
        what = "" if str(error).startswith("licence:") else "checkpoint: "
        yield f"{key}.{what}{error}"
        return
    modals = known_modals(model.family, model.checkpoint)
    if modals is None:
        return
    if modals and model.modal is None:
        yield f"{key}.modal: {model.checkpoint} needs one; choose one of {', '.join(modals)}"
    elif not modals and model.modal is not None:
        yield (
            f"{key}.modal: {model.checkpoint} has one level of theory only; remove modal "
            f"{model.modal!r}"
        )
    elif modals and model.modal not in modals:
        yield f"{key}.modal: {model.checkpoint} has no {model.modal!r}; " + nearest(
            str(model.modal), modals
        )


def _about_checkpoint_file(key: str, path: Path, checksum: str | None) -> Iterator[str]:
    if not path.exists():
        here = f"relative paths begin at {Path.cwd()}"
        yield f"{key}.checkpoint: there is no file {str(path)!r} ({here})"
    elif (kind := foreign_kind(path)) is not None:
        yield f"{key}.checkpoint: {str(path)!r} is no checkpoint: {kind}"
    elif checksum is not None and (found := sha256(path)) != checksum:
        yield (
            f"{key}.sha256: that of {str(path)!r} is {found}, not {checksum}; get the file again, "
            "or correct the config if you trust this one"
        )


def _about_dataset(key: str, dataset: Any) -> Iterator[str]:
    try:
        if isinstance(dataset, Generated):
            check_systems(dataset)
        if isinstance(dataset, Published):
            check_licence(get_published(dataset.name), dataset.accept_licence)
    except UserError as error:
        yield f"{key}.{error}"
    if isinstance(dataset, Files):
        try:
            locate(dataset)
        except UserError as error:
            yield from (f"{key}.{mistake}" for mistake in str(error).splitlines())


def _about_labels(config: Config) -> Iterator[str]:
    """Find scores and errors that compare a model with its own predictions."""
    scored = config.datasets[config.scoring.dataset]
    for name in config.compressed_models():
        labels = getattr(scored, "labels", None)
        if labels is None or labels_key(labels) != labels_key(config.models[name]):
            continue
        if "taylor" in config.sweep.criteria:
            yield (
                f"scoring.dataset: {config.scoring.dataset!r} is labelled by models.{name} itself, "
                "whose loss is zero on its own labels, so that the criterion 'taylor' has nothing "
                "to differentiate; take 'fisher' in its place in sweep.criteria, or score on a "
                "dataset with other labels"
            )


def _about_shapes(config: Config) -> Iterator[str]:
    """Find names of official shapes that a family does not know."""
    families = {config.models[name].family for name in config.compressed_models()}
    for name, explicit in config.sweep.explicit.items():
        if not explicit.names_shape:
            continue
        for family in sorted(families & set(family_names())):
            shapes = named_shapes(family)
            if explicit.irreps not in shapes:
                hint = nearest(str(explicit.irreps), shapes) if shapes else "the family names none"
                yield (
                    f"sweep.explicit.{name}.irreps: {explicit.irreps!r} is neither irreps such as "
                    f"64x0e+32x1e nor a shape of the family {family}; {hint}"
                )
