"""The uses of a study's datasets."""

from irrepress.data.config import Perturbed
from irrepress.study.config import Config


def used_datasets(config: Config) -> dict[str, list[str]]:
    """Return the uses of each dataset that the study reads.

    This includes the source of a perturbed dataset.
    """
    sections = {
        "scoring": config.scoring,
        "compensation": config.compensation,
        "recovery": config.recovery,
        "distillation": config.distillation,
        "evaluation": config.evaluation,
    }
    uses: dict[str, list[str]] = {name: [] for name in config.datasets}
    for use, section in sections.items():
        if section is not None and section.dataset is not None:
            uses[section.dataset].append(use)
    for model, reference in config.models.items():
        if reference.training is not None and reference.training.dataset is not None:
            uses[reference.training.dataset].append(f"training of {model}")
    if config.downstream:
        for name in config.downstream.datasets:
            uses[name].append("downstream")
    if config.evaluation.dynamics:
        for name in config.evaluation.dynamics.datasets:
            uses[name].append("dynamics")
    for name, dataset in config.datasets.items():
        if isinstance(dataset, Perturbed) and uses[name]:
            uses[dataset.of].append(f"source of {name}")
    return {name: what for name, what in uses.items() if what}


def labelled_parts(config: Config, dataset: str) -> list[str]:
    """Return the splits of a dataset that the parent has to label, which the study reads."""
    trained = config.distillation is not None and config.distillation.dataset == dataset
    tested = config.evaluation.dataset == dataset
    parts = ["train", "valid"] * trained + ["test"] * tested
    return parts or ["train", "valid", "test"]
