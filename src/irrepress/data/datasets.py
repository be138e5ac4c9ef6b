"""The datasets of a config: one kind for each source."""

from typing import Annotated

from pydantic import Field

from irrepress.catalogue.model_ref import ModelRef
from irrepress.data.config import Files, Published
from irrepress.data.sources.config import (
    Defective,
    Derived,
    Generated,
    Joined,
    Perturbed,
    Relaxed,
    Sampled,
    Squeezed,
    Strained,
    Substituted,
)

# A new source is added here, with a rule that makes it in rules/data.smk.
DrawnDataset = Strained | Defective | Substituted | Relaxed | Squeezed
AnyDataset = Generated | Files | Published | Perturbed | Sampled | DrawnDataset | Joined
Dataset = Annotated[AnyDataset, Field(discriminator="source")]


def origins(dataset: AnyDataset) -> list[str]:
    """Return the names of the datasets that a dataset is made from.

    >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
    >>> origins(Perturbed(source="perturbed", of="silicon", labels=labels))
    ['silicon']
    """
    if isinstance(dataset, Joined):
        return dataset.of
    return [dataset.of] if isinstance(dataset, Derived) else []


def structures_of(dataset: AnyDataset) -> AnyDataset:
    """Return the same dataset without its labels.

    >>> structures_of(Files(source="files", paths=["cell.cif"])).labels
    False
    """
    return dataset.model_copy(update={"labels": False})


def labelling_model_of(dataset: AnyDataset) -> ModelRef | None:
    """Return the model that labels a dataset; None if its labels come from its source.

    That of a joined dataset is the one of its members; see `irrepress.study.labels`.

    >>> labelling_model_of(Files(source="files", paths=["cell.cif"], labels=False)) is None
    True
    """
    labels = getattr(dataset, "labels", None)
    return labels if isinstance(labels, ModelRef) else None
