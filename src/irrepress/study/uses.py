"""The uses of a study's datasets."""

from irrepress.data.datasets import origins
from irrepress.study.config import Config


def used_datasets(config: Config) -> dict[str, list[str]]:
    """Return the uses of each dataset that the study reads.

    This includes the datasets that others are made from.
    """
    sections = {
        "scoring": config.scoring,
        "compensation": config.compensation,
        "recovery": config.recovery,
        "distillation": config.distillation,
        "refinement": config.refinement,
        "evaluation": config.evaluation,
        "validation": config.validation,
        "deployment": config.deploy,
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
    if config.refinement:
        uses[config.refinement.of].append("dynamics of refinement")
    if config.evaluation.dynamics:
        for name in config.evaluation.dynamics.datasets:
            uses[name].append("dynamics")
    waiting = [name for name, what in uses.items() if what]
    while waiting:  # a source may itself be made from another one
        name = waiting.pop(0)
        for origin in origins(config.datasets[name]):
            if not uses[origin]:
                waiting.append(origin)
            uses[origin].append(f"source of {name}")
    return {name: what for name, what in uses.items() if what}


def labelled_parts(config: Config, dataset: str) -> list[str]:
    """Return the splits of a dataset that the parent has to label, which the study reads."""
    teachings = (config.distillation, config.refinement)
    trained = any(each is not None and each.dataset == dataset for each in teachings)
    tested = config.evaluation.dataset == dataset
    parts = ["train", "valid"] * trained + ["test"] * tested
    return parts or ["train", "valid", "test"]
