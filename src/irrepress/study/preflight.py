"""Checks of a study before it starts.

The config itself is checked when it is read (`irrepress.study.config`). This module checks what it
refers to: files, families and their packages, checkpoints, systems, licences. Both the Snakefile
and ``irrepress check`` begin with `check_study`. Neither torch nor a family's package is
imported, because the environment of the workflow has none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irrepress.catalogue.datasets.registry import check_licence, get_published
from irrepress.catalogue.families import (
    check_keyword,
    check_settings,
    drops_layers,
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
from irrepress.data.config import Files, Published
from irrepress.data.datasets import labelling_model_of, origins
from irrepress.data.paths import locate
from irrepress.data.sources.config import Generated, Joined
from irrepress.data.sources.generate import check_systems
from irrepress.families.generic.file_kinds import foreign_kind
from irrepress.study.config import Config
from irrepress.study.environments import find_environments, set_up_command
from irrepress.study.labels import labelling_model, labels_key
from irrepress.study.models import StudyModel


def check_study(config: Config, source: str, *, packages: bool = True) -> None:
    """Check what a config refers to, and what would fail later in the study.

    Args:
        config: the config.
        source: name of the config in messages, such as its path.
        packages: whether the packages of every family have to be here, in this Python or in an
            environment that was set up for it; False where jobs run in conda environments.

    Raises:
        UserError: if there are mistakes; the message has one line for each.
    """
    if mistakes := list(find_mistakes(config, packages=packages)):
        raise UserError("\n".join(f"{source}: {mistake}" for mistake in mistakes))


def find_mistakes(config: Config, *, packages: bool = True) -> Iterator[str]:
    """Yield a line with key, value and fix for every mistake; see `check_study`."""
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
    """Yield a line for everything that is valid but may be unintended."""
    after = ("recovery", "distillation", "quantization", "export", "downstream")
    idle = [section for section in after if getattr(config, section) is not None]
    idle += ["evaluation.dynamics"] * (config.evaluation.dynamics is not None)
    idle += [name for name in ("validation", "deploy") if getattr(config, name) is not None]
    if idle and not config.train_plans:
        yield (
            f"train_plans is empty, so {', '.join(idle)} will not run; give plans such as "
            f"{next(iter(config.plans()), 'taylor-0.50')}"
        )
    used = {name for _, name, _ in _parts_used(config)}
    used |= {config.validation.dataset} if config.validation else set()
    used |= {config.deploy.dataset} if config.deploy and config.deploy.dataset else set()
    used |= {model.restrict_to for model in config.models.values() if model.restrict_to}
    used |= {name for each in config.datasets.values() for name in origins(each)}
    for name in config.datasets:
        if name not in used:
            yield f"datasets.{name} is used by no section"
    labels = labelling_model(config.datasets, config.evaluation.dataset)
    for name, model in config.models.items():
        if labels is not None and labels_key(labels) == labels_key(model):
            yield (
                f"evaluation.dataset: {config.evaluation.dataset!r} is labelled by models.{name} "
                "itself: errors measure the difference from it, and its own are zero"
            )


def _parts_used(config: Config) -> Iterator[tuple[str, str, str]]:
    """Yield key, dataset and split for everything that a study reads."""
    yield "scoring.dataset", config.scoring.dataset, "train"
    if config.compensation:
        yield "compensation.dataset", config.compensation.dataset, "train"
    trainings = [
        (name, getattr(config, name)) for name in ("recovery", "distillation", "refinement")
    ]
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
    """Find splits of datasets that are needed but empty."""
    told: set[tuple[str, str, str]] = set()
    for use in _parts_used(config):
        key, name, part = use
        dataset = config.datasets[name]
        if use in told or _has_part(config, name, part):
            continue
        told.add(use)
        own = not isinstance(dataset, Joined)
        where = f"datasets.{name}.split.{part}" if own else f"split.{part} of all it is joined of"
        files = f", or list files under {part}_paths" if isinstance(dataset, Files) else ""
        yield f"{key}: {name!r} has no {part} split, because {where} is 0; raise it{files}"


def _has_part(config: Config, name: str, part: str) -> bool:
    """Return whether a split will contain structures, according to the config."""
    dataset = config.datasets[name]
    if isinstance(dataset, Joined):
        return any(_has_part(config, each, part) for each in dataset.of)
    split = getattr(dataset, "split", None)
    if isinstance(dataset, Files) and part != "train" and getattr(dataset, f"{part}_paths"):
        return True
    if isinstance(dataset, Published) and split is None:
        return part == "test" or bool(get_published(dataset.name).labels)
    if isinstance(dataset, Published) and not _shared_out(dataset):
        return True
    return split is None or getattr(split, part) > 0


def _shared_out(dataset: Published) -> bool:
    """Return whether fractions determine the splits, because the source has none."""
    options = get_published(dataset.name).options
    return not {"parts", "lists", "fold"} & set(options)


def _about_families(config: Config) -> Iterator[str]:
    """Find settings that the family of a compressed model does not support."""
    cutoffs = [f"sweep.explicit.{n}.cutoff" for n, e in config.sweep.explicit.items() if e.cutoff]
    cutoffs += ["sweep.cutoffs"] * any(config.sweep.cutoffs)
    layers = [f"sweep.explicit.{n}.layers" for n, e in config.sweep.explicit.items() if e.layers]
    layers += ["sweep.layers"] * any(config.sweep.layers)
    for name in config.compressed_models():
        family = config.models[name].family
        if family not in family_names():
            continue
        if cutoffs and not shortens_cutoff(family):
            yield (
                f"{cutoffs[0]}: the cutoff of models of the family {family} (models.{name}) cannot "
                "be shortened; leave it out"
            )
        if layers and not drops_layers(family):
            yield (
                f"{layers[0]}: layers of models of the family {family} (models.{name}) cannot be "
                "dropped; leave it out"
            )
        for dtype in config.export.dtypes if config.export else []:
            if dtype not in number_types(family):
                yield (
                    f"export.dtypes: files of the family {family} (models.{name}) hold "
                    f"{' and '.join(number_types(family))} only; leave {dtype} out"
                )


def model_references(config: Config) -> Iterator[tuple[str, ModelRef | StudyModel]]:
    """Yield key and content of every model in a config."""
    for name, model in config.models.items():
        yield f"models.{name}", model
    for name, dataset in config.datasets.items():
        if (labels := labelling_model_of(dataset)) is not None:
            yield f"datasets.{name}.labels", labels


def known_families(config: Config) -> list[str]:
    """Return the known families of a config's models."""
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
            f"{key}.modal: {model.checkpoint} has only one level of theory; remove modal "
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
        yield f"{key}.checkpoint: {str(path)!r} is not a checkpoint: {kind}"
    elif checksum is not None and (found := sha256(path)) != checksum:
        yield (
            f"{key}.sha256: that of {str(path)!r} is {found}, not {checksum}; download the file "
            "again, or correct the config if you trust this one"
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
    """Find scores that compare a model with its own predictions."""
    labels = labelling_model(config.datasets, config.scoring.dataset)
    for name in config.compressed_models():
        if labels is None or labels_key(labels) != labels_key(config.models[name]):
            continue
        if "taylor" in config.sweep.criteria:
            yield (
                f"scoring.dataset: {config.scoring.dataset!r} is labelled by models.{name} itself, "
                "whose loss on its own labels is zero, so the criterion 'taylor' has nothing to "
                "differentiate; use 'fisher' instead in sweep.criteria, or score on a dataset with "
                "other labels"
            )


def _about_shapes(config: Config) -> Iterator[str]:
    """Find names of official shapes that a family lacks."""
    families = {config.models[name].family for name in config.compressed_models()}
    for name, explicit in config.sweep.explicit.items():
        if not explicit.names_shape:
            continue
        for family in sorted(families & set(family_names())):
            shapes = named_shapes(family)
            if explicit.irreps not in shapes:
                hint = nearest(str(explicit.irreps), shapes) if shapes else "the family has none"
                yield (
                    f"sweep.explicit.{name}.irreps: {explicit.irreps!r} is neither irreps such as "
                    f"64x0e+32x1e nor a shape of the family {family}; {hint}"
                )
