from dataclasses import replace

import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.training.config import Distillation
from irrepress.training.features import FeatureGuide, observed


@pytest.fixture(scope="module")
def parent(sevennet_0):
    return sevennet_0


@pytest.fixture(scope="module")
def plan(parent):
    """The plan of ``cut_sevennet``: order 2 is removed, all other channels stay."""
    groups = parent.groups()
    return Plan.identity(groups).cut_order(groups, above=1)


@pytest.fixture
def batch(parent, labelled):
    return parent.batch(labelled[:3])


def loss(guide, model, batch):
    with observed(model) as features:
        model.atomic_energies(batch)
    return float(guide.loss(features, batch))


def test_nothing_to_say_of_the_parents_own_features(parent, plan, batch):
    guide = FeatureGuide(parent, plan)
    with observed(parent) as features:
        parent.atomic_energies(batch)
    kept = {name: features[name][:, index] for name, index in guide.kept.items()}
    assert float(guide.loss(kept, batch)) == 0
    assert float(guide.loss({k: 0 * v for k, v in kept.items()}, batch)) == pytest.approx(1)


def test_only_what_was_kept_is_compared(parent, plan):
    names = FeatureGuide(parent, plan).kept
    assert "features.2.1e" in names and "messages.2.0e" in names
    assert not any(name.endswith("2e") or name.startswith("filter") for name in names)


def test_a_shorter_cutoff_is_refused(parent, plan):
    with pytest.raises(UserError, match=r"distillation.features: .* 4.5 Å.* set features to 0"):
        FeatureGuide(parent, replace(plan, cutoff=4.5))


def test_where_layers_were_dropped_those_that_stay_are_compared(parent, batch):
    layers = (0, 2, 4)
    fewer = parent.with_layers(layers)
    guide = FeatureGuide(parent, replace(Plan.identity(fewer.groups()), layers=layers))
    with observed(parent) as features:
        parent.atomic_energies(batch)
    assert float(guide.loss({n: features[guide.followed[n]] for n in guide.kept}, batch)) == 0
    for place, t in enumerate((0, 2, 4, 5)):
        assert guide.followed[f"features.{place}.0e"] == f"features.{t}.0e"
    assert loss(guide, fewer, batch) > 0.01


def test_invariant_under_rotation(parent, plan, cut_sevennet, labelled):
    guide = FeatureGuide(parent, plan)
    atoms = labelled[0].to_atoms()
    turned = atoms.copy()
    turned.rotate(73, (1, 2, 3), rotate_cell=True)
    losses = [
        loss(
            guide,
            cut_sevennet,
            parent.batch([Structure.unlabelled(a, group="")]),
        )
        for a in (atoms, turned)
    ]
    assert losses[0] > 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_the_gradient_reaches_the_model_and_not_the_parent(parent, plan, cut_sevennet, batch):
    guide = FeatureGuide(parent, plan)
    with observed(cut_sevennet) as features:
        cut_sevennet.predict(batch, create_graph=True)
    gradients = torch.autograd.grad(
        guide.loss(features, batch),
        [p for p in cut_sevennet.parameters() if p.requires_grad],
        allow_unused=True,
    )
    assert any(g is not None and g.abs().max() > 0 for g in gradients)
    assert all(p.grad is None for p in parent.parameters())


@pytest.mark.slow
def test_training_draws_features_to_the_parents(
    run, parent, plan, cut_sevennet, store, batch, tmp_path
):
    guide = FeatureGuide(parent, plan)
    found = {}
    for weight in (0.0, 100.0):
        settings = Distillation(
            steps=12, batch_size=3, validate_every=6, learning_rate=1e-3, features=weight
        )
        result = run(
            model=cut_sevennet,
            settings=settings,
            teacher=store,
            label_fraction=0.0,
            guide=guide if weight else None,
            work_dir=tmp_path / str(weight),
        )
        assert not any("guide" in name for name in result.model.state_dict())
        found[weight] = loss(guide, result.model, batch)
    before = loss(guide, cut_sevennet, batch)
    assert found[100.0] < 0.8 * min(before, found[0.0])
