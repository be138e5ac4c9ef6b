"""Importance scores of irreps blocks, from one pass over calibration structures.

Every block is multiplied by a gate g of 1, and removing it means g = 0:

- ``taylor``: mean over structures of |dL/dg|, L the Huber loss of energy, forces and stress
  against the labels. Removing a block changes L by -dL/dg to first order (the criterion of
  Molchanov et al., arXiv 1906.10771, with a gate in the place of a weight).
- ``fisher``: mean over structures of (ds/dg)^2, s the sum of all outputs with random signs,
  each scaled by the square root of its loss weight. Its expectation is the diagonal of the
  Gauss-Newton matrix G of the squared loss, and half of it estimates the damage of removing
  one block at an optimum. It needs no labels.
- ``hessian``: mean over structures of |-dQ/dg + h / 2|, the size of the change of Q on removal to
  second order. Q is half the squared loss against the labels: the Huber loss has no curvature
  beyond its delta. h holds the curvature of the loss (G) and that of the outputs, which the
  residuals weigh. It is Hutchinson's estimate (H v)_i / v_i with v_j a random sign over
  sqrt(G_jj), so that what stands beside the diagonal enters: the score is the derivative half-way
  through the removal of block i while every other block changes at random, each by as much as
  changes the outputs like that removal. Blocks are removed many at a time, and the signed mean of
  -dQ/dg + h / 2 would fit the calibration structures: it ranks blocks well on these and badly on
  others. Without labels the model's own predictions stand for them.
- ``activation``: mean over atoms (or edges) of the squared norm of the block's features.
- ``magnitude``: squared norm of the weights that read the block; needs no data.
- ``random``: uniform, seeded; needs no data.

Scores are stored as they are. Taylor, fisher and hessian scores are changes of one loss and
compete across layers and orders; `irrepress.pruning.normalization` makes others comparable.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import numpy as np
import torch

from irrepress.core.batching import in_batches
from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.core.label_counts import LabelCounts
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.progress import tracked
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.pruning.config import Criterion
from irrepress.pruning.criteria import (
    NO_BASIS_FOR_TAYLOR,
    Activation,
    DataCriterion,
    Fisher,
    Hessian,
    Taylor,
)
from irrepress.pruning.gated_pass import GatedPass
from irrepress.pruning.scores import Scores

logger = logging.getLogger(__name__)

CRITERIA: tuple[str, ...] = get_args(Criterion)


def compute_scores(
    model: Model,
    structures: Iterable[Structure],
    *,
    total: int | None = None,
    batch_size: int = 8,
    weights: LossWeights | None = None,
    criteria: Sequence[str] = CRITERIA,
    probes: int = 1,
    seed: int = 0,
    counts: LabelCounts | None = None,
) -> Scores:
    """Score every block by every criterion in one pass.

    Args:
        model: the model; its parameters and modes are left as they were.
        structures: calibration structures, with labels if ``taylor`` is wanted; not read if no
            criterion needs them.
        total: how many structures there are, for the progress bar.
        batch_size: structures per pass.
        weights: weights of energy, forces and stress.
        criteria: what to compute; other criteria cost nothing.
        probes: random vectors per batch for ``hessian``.
        seed: seed for random signs and vectors, and for the criterion ``random``. A criterion's
            scores do not depend on which others are computed.
        counts: which labels the structures have. A label that only some of them have then weighs
            more on these, so that each quantity enters by its mean over the structures that have
            it, as in training. Structures in a sequence are counted if it is not given.

    Raises:
        UserError: no structures, ``taylor`` without labels that differ from the model's own
            predictions, or a model whose predictions are not finite.
    """
    weights = weights or LossWeights()
    if counts is None and isinstance(structures, Sequence):
        counts = LabelCounts.of(structures)
    loss_weights = _for_labels(weights, counts) if counts else weights
    if counts and counts.structures and "taylor" in criteria and not _is_labelled(weights, counts):
        raise UserError(f"{NO_BASIS_FOR_TAYLOR} ({counts})")
    groups = model.groups()
    found = _with_data(groups, criteria, probes, seed)
    if found and counts:
        logger.info("scoring: %s", counts)
    count = 0
    if found:
        chunks = in_batches(structures, batch_size)
        batches = -(-total // batch_size) if total else None
        signs = torch.Generator().manual_seed(seed)
        with _frozen(model):
            for chunk in tracked(chunks, "scoring", "batches", batches):
                forward = GatedPass(
                    model,
                    model.batch(chunk),
                    Labels.of(chunk, model.dtype).to(model.device),
                    weights,
                    signs,
                    observe="activation" in found,
                    loss_weights=loss_weights,
                )
                for criterion in found.values():
                    criterion.add(forward)
                count += len(chunk)
                del forward  # frees its graph before the next one is built
        if not count:
            raise UserError("scoring: there are no calibration structures; check scoring.dataset")
    raw = {name: criterion.scores() for name, criterion in found.items()}
    if "magnitude" in criteria:
        raw["magnitude"] = {k: v.double() ** 2 for k, v in model.block_norms().items()}
    values = {
        name: {group: score.cpu().numpy() for group, score in scores.items()}
        for name, scores in raw.items()
    }
    if "random" in criteria:
        rng = np.random.default_rng(seed)
        values["random"] = {g.name: rng.random(g.channels) for g in groups}
    return Scores(groups=groups, values=values, provenance={"structures": count})


def _is_labelled(weights: LossWeights, counts: LabelCounts) -> bool:
    return any(getattr(weights, name) > 0 and getattr(counts, name) for name in QUANTITIES)


def _for_labels(weights: LossWeights, counts: LabelCounts) -> LossWeights:
    """Return weights that compensate for structures without a label."""
    return weights.model_copy(
        update={
            name: getattr(weights, name) * counts.structures / getattr(counts, name)
            for name in QUANTITIES
            if getattr(counts, name)
        }
    )


def _with_data(
    groups: Sequence[Group], criteria: Sequence[str], probes: int, seed: int
) -> dict[str, DataCriterion]:
    """Return those criteria that need data."""
    vectors = torch.Generator().manual_seed(seed + 1)  # must not repeat the signs of outputs
    known: dict[str, DataCriterion] = {
        "taylor": Taylor(groups),
        "fisher": Fisher(groups),
        "hessian": Hessian(groups, probes, vectors),
        "activation": Activation(groups),
    }
    return {name: criterion for name, criterion in known.items() if name in criteria}


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Differentiate gates only: weights would double the work."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
