"""Weights as matrices, and the optimizers that step them."""

from copy import deepcopy

import pytest
import torch

from irrepress.training.config import Training
from irrepress.training.optimizers import WeightMatrices, make_optimizer


def gradients_of(model, labelled):
    prediction = model.predict(model.batch(labelled[:2]), create_graph=True)
    prediction.forces.square().sum().backward()


def of_roles(model):
    return {n: p for n, p in model.named_parameters() if n in model.parameter_roles()}


def test_every_trainable_weight_is_in_one_matrix_whose_memory_it_shares(small_sevennet):
    model = deepcopy(small_sevennet)
    parts = [part for part, _ in WeightMatrices(model)]
    assert sum(part.dim() == 2 for part in parts) == len(model.weight_blocks())
    with torch.no_grad():
        for part in parts:
            part.fill_(1.0)
            part += 1.0  # a weight that were in two of them would be 2 or 3 by their order
    for name, parameter in of_roles(model).items():
        assert torch.equal(parameter.detach(), torch.full_like(parameter, 2.0)), name
    assert sum(part.numel() for part in parts) == sum(p.numel() for p in of_roles(model).values())


def test_matrices_have_the_roles_of_their_parameters(small_sevennet):
    roles = {role for _, role in WeightMatrices(deepcopy(small_sevennet))}
    assert roles == set(small_sevennet.parameter_roles().values())


def test_a_step_of_gradient_descent_is_that_of_the_parameters(cut_sevennet, labelled):
    model, plain = deepcopy(cut_sevennet), deepcopy(cut_sevennet)
    weights = WeightMatrices(model)
    gradients_of(model, labelled)
    weights.take_gradients()
    assert all(parameter.grad is None for parameter in of_roles(model).values())
    torch.optim.SGD([part for part, _ in weights], lr=0.1).step()
    gradients_of(plain, labelled)
    torch.optim.SGD(of_roles(plain).values(), lr=0.1).step()
    moved = 0
    for name, parameter in of_roles(model).items():
        assert torch.equal(parameter.detach(), of_roles(plain)[name].detach()), name
        moved += not torch.equal(parameter.detach(), of_roles(cut_sevennet)[name].detach())
    assert moved > 0


def test_the_optimizer_is_the_one_of_the_settings():
    groups = [{"params": [torch.nn.Parameter(torch.ones(2, 3))], "lr": 0.5}]
    made = {name: make_optimizer(Training(optimizer=name), groups) for name in ("adamw", "soap")}
    assert {name: type(each).__name__ for name, each in made.items()} == {
        "adamw": "AdamW",
        "soap": "SOAP",
    }
    assert all(each.param_groups[0]["lr"] == 0.5 for each in made.values())


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_training_lowers_the_loss_of_the_valid_split(run, settings, cut_sevennet, optimizer):
    result = run(
        model=cut_sevennet,
        settings=settings.model_copy(update={"optimizer": optimizer, "steps": 10}),
    )
    assert not result.kept_start
