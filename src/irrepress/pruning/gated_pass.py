"""A forward pass with gates on all blocks, and the derivatives that criteria use."""

from functools import cached_property

import torch
from torch import Tensor

from irrepress.core.finite import check_prediction
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Batch, Model
from irrepress.pruning.curvature import rademacher
from irrepress.pruning.objectives import component_weights, components

# group name -> [structures, channels] for a batch, or [channels] after summing over structures
ByGroup = dict[str, Tensor]


class GatedPass:
    """One forward pass over a batch with gates of 1, with one row of gates per structure.

    The outputs of a structure depend only on its own gates, so one backward pass gives the
    derivatives for all structures with respect to all blocks.

    Attributes:
        gates: group name -> gates, ``[structures, channels]``.
        prediction: the prediction, with its autograd graph.
        batch: the batch.
        labels: its labels.
        weights: weights of energy, forces and stress.
        loss_weights: the same, for losses against the labels.
        activations: group name -> squared norm of each block's features summed over atoms or edges,
            ``[channels]``, and the number of atoms or edges; empty unless ``observe`` is set.

    Example:
        >>> labels = Labels.of(structures, model.dtype)
        >>> batch = model.batch(structures)
        >>> forward = GatedPass(model, batch, labels, LossWeights(), torch.Generator())
        >>> forward.gradients(forward.prediction.energy.sum())["features.1.1e"].shape
        torch.Size([4, 64])
    """

    def __init__(
        self,
        model: Model,
        batch: Batch,
        labels: Labels,
        weights: LossWeights,
        generator: torch.Generator,
        *,
        observe: bool = False,
        loss_weights: LossWeights | None = None,
    ):
        """Run the model.

        Args:
            model: the model.
            batch: on the model's device.
            labels: on the model's device.
            weights: weights of energy, forces and stress.
            generator: random number generator for the signs in `projected`, on the CPU.
            observe: whether to collect activations.
            loss_weights: weights of losses against labels; None: ``weights``. If only some
                structures have a label, its weight should be larger.

        Raises:
            UserError: if a prediction is not finite.
        """
        self.batch, self.labels, self.weights = batch, labels, weights
        self.loss_weights = loss_weights or weights
        self._generator = generator
        self.gates = {
            g.name: torch.ones(
                len(batch), g.channels, dtype=model.dtype, device=model.device
            ).requires_grad_()
            for g in model.groups()
        }
        self.activations: dict[str, tuple[Tensor, int]] = {}
        observer = self._observe if observe else None
        with model.gated(self.gates, observer), torch.enable_grad():
            self.prediction = model.predict(batch, create_graph=True)
        check_prediction(self.prediction, batch, "scoring")

    def gradients(self, quantity: Tensor, *, create_graph: bool = False) -> ByGroup:
        """Return the derivatives of a scalar with respect to the gates, in their shapes."""
        found = torch.autograd.grad(
            quantity,
            list(self.gates.values()),
            retain_graph=True,  # several criteria use the same pass
            create_graph=create_graph,
            materialize_grads=True,
        )
        return dict(zip(self.gates, found, strict=True))

    @cached_property
    def projected(self) -> ByGroup:
        """Derivatives of the sum of all components, each times a random sign and its root weight.

        The expected value of their squares is the diagonal of the Gauss-Newton matrix of the
        squared loss: the weighted sum over components of squared derivatives.
        """
        weights = component_weights(self.batch, self.labels, self.weights)
        values = components(self.prediction, self.batch)
        # Multiplying by a weight of 0 is not enough: stress without a volume may be infinite.
        values = torch.where(weights > 0, values, torch.zeros_like(values))
        signs = rademacher(values, self._generator)
        return self.gradients((signs * weights.sqrt() * values).sum())

    def _observe(self, name: str, features: Tensor) -> None:
        squares = features.detach().double().square().sum(dim=(0, 2))
        self.activations[name] = squares, len(features)
