"""Training with rounded weights: gradients are theirs, steps are of the weights as they are."""

from copy import deepcopy

import pytest
import torch

from irrepress.quantization.packing import pack, unpack
from irrepress.training.config import Training
from irrepress.training.data import TrainingData
from irrepress.training.losses import Comparison, compare
from irrepress.training.rounding import RoundedWeights


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_are_those_of_the_packed_file_for_a_while(small_sevennet, tmp_path, bits):
    model = deepcopy(small_sevennet)
    pack(model, tmp_path / "packed.pt", bits=bits)
    wanted = dict(unpack(model.family, tmp_path / "packed.pt").network.named_parameters())
    weights = RoundedWeights(model, bits)
    weights.round()
    for name, parameter in model.network.named_parameters():
        assert torch.equal(parameter.detach(), wanted[name].detach()), name
    weights.restore()
    weights.restore()  # of what is not rounded nothing changes
    exact = dict(small_sevennet.network.named_parameters())
    for name, parameter in model.network.named_parameters():
        assert torch.equal(parameter.detach(), exact[name].detach()), name


def test_gradients_are_those_of_the_rounded_weights(small_sevennet, labelled):
    def gradients(model):
        prediction = model.predict(model.batch(labelled[:2]), create_graph=True)
        prediction.forces.square().sum().backward()
        return [p.grad.clone() for p in model.network.parameters() if p.grad is not None]

    model, fixed = deepcopy(small_sevennet), deepcopy(small_sevennet)
    RoundedWeights(fixed, 4).round()
    weights = RoundedWeights(model, 4)
    weights.round()
    found = gradients(model)
    weights.restore()
    for own, wanted, plain in zip(
        found, gradients(fixed), gradients(deepcopy(small_sevennet)), strict=True
    ):
        assert torch.equal(own, wanted)
        if plain.abs().max() > 0:
            assert not torch.equal(own, plain)


@pytest.mark.slow
def test_a_model_that_knows_of_rounding_loses_less_by_it(run, cut_sevennet, make_store, labelled):
    store = make_store([s for s in labelled if len(s) == 2])
    losses = {}
    for bits in (None, 4):
        settings = Training(steps=24, batch_size=3, validate_every=8, learning_rate=1e-3, bits=bits)
        result = run(model=cut_sevennet, store=store, settings=settings)
        RoundedWeights(result.model, 4).round()
        losses[bits] = rounded = Comparison.empty()
        for batch in TrainingData(result.model, store, settings, seed=0).val_dataloader():
            prediction = result.model.predict(batch.graph)
            delta = settings.weights.huber_delta
            rounded += compare(prediction, batch.labels, batch.graph.num_atoms, delta)
        losses[bits] = float(rounded.loss(settings.weights))
    assert losses[4] == pytest.approx(result.best_valid_loss, rel=1e-4)
    assert losses[4] < 0.7 * losses[None]
