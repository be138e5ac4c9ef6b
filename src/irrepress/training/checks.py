"""Checks before training starts."""

import logging

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.quantities import QUANTITIES
from irrepress.data.checks import check_elements
from irrepress.data.store import StructureStore

logger = logging.getLogger(__name__)


def check_data(
    model: Model,
    store: StructureStore,
    teacher: StructureStore | None,
    label_fraction: float,
    ranks: int,
) -> None:
    """Check that a model can be trained on a store.

    Args:
        model: the model to train.
        store: the structures to train on.
        teacher: the same structures labelled by the parent.
        label_fraction: weight of the store's own labels.
        ranks: number of processes that share the splits.

    Raises:
        UserError: if it cannot; see `irrepress.training.trainer.train`.
    """
    for name in ("train", "valid"):
        if len(store.splits[name]) == 0:
            raise UserError(
                f"{store.path}: the {name} split is empty; give it a share in the dataset's split "
                "or add structures"
            )
        if len(store.splits[name]) < ranks:
            raise UserError(
                f"{store.path}: the {name} split has {len(store.splits[name])} structures, fewer "
                f"than the {ranks} devices that share them; lower devices or nodes"
            )
    check_elements(store.elements, model.elements, str(store.path))
    if teacher is None:
        if label_fraction != 1:
            raise UserError(
                f"label_fraction is {label_fraction:g}, but there is no teacher for the rest; set "
                "it to 1"
            )
        return
    same = len(teacher) == len(store) and np.array_equal(teacher.num_atoms, store.num_atoms)
    if not same or any(
        not np.array_equal(teacher.splits[name], store.splits[name]) for name in ("train", "valid")
    ):
        raise UserError(
            f"{teacher.path}: not the same structures and splits as {store.path}; label the "
            "dataset with the parent again"
        )


def check_labels(
    store: StructureStore,
    teacher: StructureStore | None,
    label_fraction: float,
    weights: LossWeights,
) -> None:
    """Log the numbers of labels, and reject splits in which no label has a weight.

    A quantity without labels in a batch contributes nothing to its loss; one that some structures
    have contributes its mean over these, however few they are.

    Args:
        store: the structures to train on.
        teacher: the same structures labelled by the parent.
        label_fraction: weight of the store's own labels.
        weights: weights of the quantities.

    Raises:
        UserError: if no label in a split has a weight.
    """
    wanted = [name for name in QUANTITIES if getattr(weights, name) > 0]
    sources = [(store, label_fraction), (teacher, 1 - label_fraction)]
    used = [source for source, fraction in sources if source is not None and fraction > 0]
    for part in ("train", "valid"):
        found = dict.fromkeys(QUANTITIES, 0)
        for source in used:
            counts = source.count_labels(source.splits[part])
            logger.info("%s, %s split: %s", source.path, part, counts)
            for name in QUANTITIES:
                found[name] += getattr(counts, name)
        if not any(found[name] for name in wanted):
            raise UserError(
                f"training: no structure in the {part} split of {store.path} has a label for "
                f"{' or '.join(wanted) or 'anything with a weight'}; check the labels of the "
                "dataset and the weights of the loss"
            )
        for name in wanted:
            if not found[name]:
                logger.warning(
                    "no structure in the %s split has a label for %s: its weight in the loss (%g) "
                    "has no effect there",
                    part,
                    name,
                    getattr(weights, name),
                )
