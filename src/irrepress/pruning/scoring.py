"""Importance scores of irreps blocks, from one pass over calibration structures.

Every block is multiplied by a gate g = 1; removing the block means g = 0:

- ``taylor``: mean over structures of |dL/dg|, L the Huber loss of energy, forces and stress against
  the labels. To first order, removing a block changes L by -dL/dg (the criterion of Molchanov et
  al., arXiv 1906.10771, with a gate in place of a weight).
- ``fisher``: mean over structures of (ds/dg)^2, s the sum of all outputs with random signs, each
  scaled by the square root of its loss weight. Its expectation is the diagonal of the Gauss-Newton
  matrix G of the squared loss, half of which estimates the loss increase on removing one block at
  an optimum. It needs no labels.
- ``hessian``: mean over structures of |-dQ/dg + h / 2|, the absolute second-order change in Q on
  removal. Q is half the squared loss against the labels, because the Huber loss has no curvature
  beyond its delta. h includes the curvature of the loss (G) and that of the outputs, weighted by
  the residuals. It is Hutchinson's estimate (H v)_i / v_i, where v_j is a random sign divided by
  sqrt(G_jj), so off-diagonal elements contribute: the score is the derivative half-way through the
  removal of block i, while all other blocks change at random by amounts that change the outputs
  about as much. Many blocks are removed at a time, and the signed mean of -dQ/dg + h / 2 would
  overfit to the calibration structures: it ranks blocks well on these and badly on others. Missing
  labels are replaced by the model's own predictions.
- ``activation``: mean over atoms (or edges) of the squared norm of the block's features.
- ``magnitude``: squared norm of the weights that read the block; needs no data.
- ``random``: uniform random numbers from a seed; needs no data.

Scores are stored without normalization. Taylor, fisher and hessian scores are changes of a single
loss and comparable across layers and orders; `irrepress.pruning.normalization` makes others so.
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
    """Score every block by several criteria in one pass over the data.

    Args:
        model: the model; its parameters and train or eval mode are left unchanged.
        structures: calibration structures, with labels for ``taylor``; not read if no criterion
            needs data.
        total: number of structures, for the progress bar.
        batch_size: number of structures per batch.
        weights: weights of energy, forces and stress.
        criteria: the criteria to compute.
        probes: number of random vectors per batch for ``hessian``.
        seed: seed for random signs and vectors, and for the criterion ``random``. The scores of a
            criterion do not depend on which others are computed.
        counts: numbers of labels. They increase the weight of a quantity that only some structures
            have a label for, so that, as in training, each quantity contributes its mean over the
            structures labelled with it. None: counted if ``structures`` is a sequence.

    Raises:
        UserError: if there are no structures, ``taylor`` has no labels that differ from the model's
            own predictions, or predictions are not finite.
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
                del forward  # frees the graph before the next one is built
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
    """Return the requested criteria that need data."""
    vectors = torch.Generator().manual_seed(seed + 1)  # differs from the signs of the outputs
    known: dict[str, DataCriterion] = {
        "taylor": Taylor(groups),
        "fisher": Fisher(groups),
        "hessian": Hessian(groups, probes, vectors),
        "activation": Activation(groups),
    }
    return {name: criterion for name, criterion in known.items() if name in criteria}


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Differentiate with respect to gates only: gradients of weights would double the work."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
