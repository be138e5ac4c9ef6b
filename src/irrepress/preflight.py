"""What a study would run into later, found before it starts.

A config is checked by itself when it is read (`irrepress.config`). Here it is compared with what
it names but does not hold: files, families and their packages, checkpoints, systems, licences.
The Snakefile and ``irrepress validate`` both begin with `check_study`. Neither torch nor a
family's package is imported: the environment of the workflow has none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irrepress.config import Config, Files, Generated, ModelRef, Perturbed, Published, StudyModel
from irrepress.environments import find_environments
from irrepress.errors import UserError, nearest
from irrepress.families.file_kinds import foreign_kind
from irrepress.families.registry import (
    canonical_keyword,
    check_keyword,
    family_names,
    is_path,
    known_modals,
    named_shapes,
)
from irrepress.structures.generate import check_systems
from irrepress.structures.paths import locate
from irrepress.structures.published.registry import check_licence, get_published


def check_study(config: Config, source: str, *, packages: bool = True) -> None:
    """Check what a config names, and what would fail in a stage of its study.

    Args:
        config: the config.
        source: what messages call it, such as its path.
        packages: whether the packages of every family have to be here, in this Python or in an
            environment that make has set up; False where jobs run in conda environments.

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
    yield from _about_labels(config)
    yield from _about_shapes(config)


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
            f"{', '.join(keys)}: {reason}; run 'make setup-{family}', or snakemake with --sdm conda"
        )


def _about_model(key: str, model: ModelRef | StudyModel) -> Iterator[str]:
    if model.family not in family_names():
        yield f"{key}.family: no family {model.family!r}; {nearest(model.family, family_names())}"
        return
    if model.checkpoint is None:
        return
    if is_path(model.checkpoint):
        yield from _about_checkpoint_file(f"{key}.checkpoint", Path(model.checkpoint))
        return
    try:
        check_keyword(model.family, model.checkpoint, model.licence)
    except UserError as error:
        what = "" if str(error).startswith("licence:") else "checkpoint: "
        yield f"{key}.{what}{error}"
        return
    modals = known_modals(model.family, model.checkpoint)
    if modals and model.modal is None:
        yield f"{key}.modal: {model.checkpoint} needs one; choose one of {', '.join(modals)}"
    elif modals and model.modal not in modals:
        yield f"{key}.modal: {model.checkpoint} has no {model.modal!r}; " + nearest(
            str(model.modal), modals
        )


def _about_checkpoint_file(key: str, path: Path) -> Iterator[str]:
    if not path.exists():
        yield f"{key}: there is no file {str(path)!r} (relative paths begin at {Path.cwd()})"
    elif (kind := foreign_kind(path)) is not None:
        yield f"{key}: {str(path)!r} is no checkpoint: {kind}"


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
