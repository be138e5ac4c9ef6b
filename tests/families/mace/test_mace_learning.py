"""Predictions for losses by other code than mace's; the protocol's tests compare architectures."""

import copy

import pytest
import torch

pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.families.mace.learning import predict_for_loss


def test_real_weights_have_the_derivatives_of_maces_code(gst, gst_frames):
    model = copy.deepcopy(gst)
    batch = model.batch(gst_frames[:1])
    gradients = []
    # Twice: what TorchScript compiles changes after its first runs.
    for predict in (model.predict_for_loss, model.predict_for_loss, model.predict):
        options = {} if predict == model.predict_for_loss else {"create_graph": True}
        prediction = predict(batch, **options)
        loss = prediction.energy.sum() + prediction.forces.square().sum()
        parameters = [each for each in model.parameters() if each.requires_grad]
        gradients.append(
            torch.autograd.grad(loss + prediction.stress.sum(), parameters, materialize_grads=True)
        )
    for *mine, expected in zip(*gradients, strict=True):
        for each in mine:
            torch.testing.assert_close(each, expected, rtol=1e-8, atol=1e-10)


def test_the_network_is_left_as_it_was(gst, gst_frames):
    model = copy.deepcopy(gst)

    def attributes():
        return {
            name: set(vars(each))
            for name, each in model.network.named_modules()
            if not isinstance(each, torch.jit.ScriptModule)  # they keep what they were asked for
        }

    before = attributes()
    predict_for_loss(model, model.batch(gst_frames[:1])).forces.sum().backward()
    assert attributes() == before


def test_gates_and_mixed_precision_are_left_to_mace(gst, gst_frames):
    batch = gst.batch(gst_frames[:1])
    group = gst.groups()[0]
    with gst.gated({group.name: torch.ones(group.channels, dtype=torch.float64)}):
        assert predict_for_loss(gst, batch) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert predict_for_loss(gst, batch) is None
    assert predict_for_loss(gst, batch) is not None
