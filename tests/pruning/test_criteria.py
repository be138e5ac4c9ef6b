import torch

from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.pruning.criteria import Hessian
from irrepress.pruning.curvature import rademacher
from irrepress.pruning.gated_pass import GatedPass
from irrepress.pruning.objectives import squared_loss

WEIGHTS = LossWeights(energy=1.0, forces=1.0, stress=1.0)


def test_hessian_is_the_derivative_half_way_through_a_removal(small_sevennet_double, structures):
    """Against gradients at displaced gates: all of the network, in float64."""
    model, chunk = small_sevennet_double, structures[:2]
    batch, labels = model.batch(chunk), Labels.of(chunk, torch.float64)
    forward = GatedPass(model, batch, labels, WEIGHTS, torch.Generator().manual_seed(0))
    criterion = Hessian(model.groups(), 1, torch.Generator().manual_seed(1))
    criterion.add(forward)

    generator = torch.Generator().manual_seed(1)
    vectors = {
        name: rademacher(gate, generator) * forward.projected[name].square().mean(0).rsqrt()
        for name, gate in forward.gates.items()
    }
    # Inputs that no output depends on have no scale.
    vectors = {name: v.nan_to_num(posinf=0.0, neginf=0.0) for name, v in vectors.items()}

    def gradients(step):
        gates = {
            name: (1 + step * vectors[name]).detach().requires_grad_() for name in forward.gates
        }
        with model.gated(gates):
            prediction = model.predict(batch, create_graph=True)
        loss = squared_loss(prediction, batch, labels, WEIGHTS).sum()
        found = torch.autograd.grad(loss, list(gates.values()), materialize_grads=True)
        return dict(zip(gates, found, strict=True))

    largest = max(float(v.abs().max()) for v in vectors.values())
    step = 1e-5 / largest
    ahead, here, behind = (gradients(s) for s in (step, 0.0, -step))
    for name, scores in criterion.scores().items():
        product = (ahead[name] - behind[name]) / (2 * step)
        expected = (product / vectors[name] / 2 - here[name]).abs().mean(0)
        known = torch.isfinite(expected)
        assert known.float().mean() > 0.9
        torch.testing.assert_close(
            scores[known], expected[known], rtol=1e-3, atol=1e-5 * float(scores.max())
        )
