import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from irrepress.core.errors import UserError
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.evaluation.predictions import label
from irrepress.pruning.objectives import huber_loss, squared_loss
from irrepress.pruning.scoring import CRITERIA, compute_scores

WEIGHTS = LossWeights(energy=1.0, forces=1.0, stress=1.0)


@pytest.fixture(scope="module")
def scores(small_sevennet, structures):
    return compute_scores(small_sevennet, structures, batch_size=2, weights=WEIGHTS)


def test_every_criterion_scores_every_block(small_sevennet, scores):
    groups = small_sevennet.groups()
    assert set(scores.values) == set(CRITERIA)
    for values in scores.values.values():
        assert set(values) == {g.name for g in groups}
        for g in groups:
            assert values[g.name].shape == (g.channels,)
            assert np.isfinite(values[g.name]).all()
            assert (values[g.name] >= 0).all()
    # Blocks that matter differ from each other by every criterion.
    for values in scores.values.values():
        assert np.std(values["features.2.1e"]) > 0


def test_progress_is_drawn_on_the_terminal_of_a_job(small_sevennet, structures, drawn):
    compute_scores(small_sevennet, structures[:1], criteria=["activation"])
    assert "scoring" in drawn()


def test_taylor_is_the_derivative_of_the_loss(small_sevennet_double, structures):
    """Against central differences of the loss in a gate, in float64."""
    model = small_sevennet_double
    structure = structures[1]
    scores = compute_scores(model, [structure], weights=WEIGHTS, criteria=["taylor"]).of("taylor")
    batch = model.batch([structure])
    labels = Labels.of([structure], torch.float64)
    for name, channel in (("features.1.1e", 2), ("messages.2.2e", 1), ("filter.1e", 0)):
        losses = []
        for step in (1e-5, -1e-5):
            gate = torch.ones(len(scores[name]), dtype=torch.float64)
            gate[channel] += step
            with model.gated({name: gate}):
                prediction = model.predict(batch)
            losses.append(float(huber_loss(prediction, batch, labels, WEIGHTS)))
        derivative = abs(losses[0] - losses[1]) / 2e-5
        assert scores[name][channel] == pytest.approx(derivative, rel=1e-4)


def test_batches_do_not_matter(small_sevennet, structures, scores):
    """Gates per structure: the same scores whatever is batched together."""
    one = compute_scores(
        small_sevennet,
        structures,
        batch_size=1,
        weights=WEIGHTS,
        criteria=["taylor", "activation"],
    )
    for criterion in ("taylor", "activation"):
        for name, values in one.of(criterion).items():
            reference = scores.of(criterion)[name]
            np.testing.assert_allclose(values, reference, rtol=2e-3, atol=1e-6 * reference.max())


def test_energy_forces_and_stress_all_enter(small_sevennet, structures):
    def scored(**weights):
        none = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
        return compute_scores(
            small_sevennet,
            structures[:1],
            weights=LossWeights(**(none | weights)),
            criteria=["taylor", "fisher", "hessian"],
        )

    parts = [scored(energy=1.0), scored(forces=1.0), scored(stress=1.0)]
    for criterion in ("taylor", "fisher", "hessian"):
        values = [part.of(criterion)["features.2.1e"] for part in parts]
        assert all(v.max() > 0 for v in values)
        assert not np.allclose(values[0] / values[0].max(), values[1] / values[1].max(), rtol=0.01)


def test_scores_grow_in_proportion_to_the_weights(small_sevennet, structures):
    single, double = (
        compute_scores(
            small_sevennet,
            structures,
            weights=LossWeights(energy=factor, forces=2 * factor, stress=0.1 * factor),
            criteria=["taylor", "fisher", "hessian"],
        )
        for factor in (1.0, 2.0)
    )
    for criterion in ("taylor", "fisher", "hessian"):
        for name, values in single.of(criterion).items():
            np.testing.assert_allclose(
                double.of(criterion)[name], 2 * values, rtol=1e-2, atol=1e-4 * values.max()
            )


def test_a_criterion_does_not_depend_on_the_others(small_sevennet, structures, scores):
    for criterion in ("fisher", "hessian", "random", "magnitude"):
        alone = compute_scores(
            small_sevennet,
            structures,
            batch_size=2,
            weights=WEIGHTS,
            criteria=[criterion],
        )
        assert set(alone.values) == {criterion}
        for name, values in alone.of(criterion).items():
            reference = scores.of(criterion)[name]
            np.testing.assert_allclose(values, reference, rtol=1e-3, atol=1e-5 * reference.max())


@pytest.mark.slow
def test_hessian_finds_the_blocks_whose_removal_changes_the_loss(
    sevennet_0, small_sevennet, structures
):
    """Against the true change by the removal of each block, on labels of the unpruned model."""
    labelled = list(label(sevennet_0, structures[:2]))
    hessian = compute_scores(
        small_sevennet, labelled * 4, weights=WEIGHTS, criteria=["hessian"]
    ).of("hessian")
    batch = small_sevennet.batch(labelled)
    labels = Labels.of(labelled, torch.float32)

    def losses(gates):
        with small_sevennet.gated(gates):
            prediction = small_sevennet.predict(batch)
        return squared_loss(prediction, batch, labels, WEIGHTS)

    base, found, damage = losses({}), [], []
    for name, values in hessian.items():
        for channel in range(0, len(values), 6):
            gate = torch.ones(len(values))
            gate[channel] = 0
            found.append(values[channel])
            damage.append(float((losses({name: gate}) - base).abs().mean()))
    assert spearmanr(found, damage).statistic > 0.6


def test_fisher_finds_the_blocks_whose_removal_changes_forces(small_sevennet, structures):
    """Rank correlation with the true damage of removing one block, over one layer's blocks."""
    many = [structures[0], structures[1]]
    fisher = compute_scores(small_sevennet, many * 8, criteria=["fisher"], seed=1).of("fisher")
    batch = small_sevennet.batch(many)
    base = small_sevennet.predict(batch)
    names, damage = ("features.3.0e", "features.3.1e", "features.3.2e"), []
    for name in names:
        for channel in range(len(fisher[name])):
            gate = torch.ones(len(fisher[name]))
            gate[channel] = 0
            with small_sevennet.gated({name: gate}):
                changed = small_sevennet.predict(batch)
            damage.append(float((changed.forces - base.forces).square().mean()))
    score = np.concatenate([fisher[name] for name in names])
    ranks = [np.argsort(np.argsort(values)) for values in (score, np.array(damage))]
    assert np.corrcoef(ranks)[0, 1] > 0.6


def test_one_seed_gives_one_result(small_sevennet, structures):
    def scored(seed):
        return compute_scores(
            small_sevennet,
            structures[:1],
            criteria=["fisher", "hessian", "random"],
            seed=seed,
        )

    one, two, other = scored(0), scored(0), scored(1)
    for criterion in ("fisher", "hessian", "random"):
        name = "messages.1.0e"
        np.testing.assert_array_equal(one.of(criterion)[name], two.of(criterion)[name])
        assert (one.of(criterion)[name] != other.of(criterion)[name]).any()


def test_labels_of_the_model_itself_are_no_basis_for_taylor(small_sevennet, structures):
    own = list(label(small_sevennet, structures))
    with pytest.raises(UserError, match=r"taylor.*use 'fisher'"):
        compute_scores(small_sevennet, own, criteria=["taylor"])


def test_missing_stress_counts_nothing(small_sevennet, structures):
    bare = [replace(s, stress=np.full(6, np.nan)) for s in structures]
    scores = compute_scores(small_sevennet, bare, weights=WEIGHTS)
    for values in scores.values.values():
        assert all(np.isfinite(v).all() for v in values.values())


def test_a_label_that_some_structures_lack_enters_by_its_mean(small_sevennet, structures):
    """Two copies of each structure, forces on one of them, are as good as forces on both."""
    weights = LossWeights(energy=0, forces=1, stress=0)
    bare = [replace(s, forces=np.full_like(s.forces, np.nan)) for s in structures]
    options = {"weights": weights, "criteria": ["taylor"]}
    whole = compute_scores(small_sevennet, structures, **options).of("taylor")
    some = compute_scores(small_sevennet, [*structures, *bare], **options).of("taylor")
    for name, values in whole.items():
        np.testing.assert_allclose(some[name], values, rtol=1e-3, atol=1e-9)


def test_taylor_without_labels_is_told_before_time_is_spent(structures):
    bare = [s.without_labels() for s in structures]
    with pytest.raises(UserError, match=r"taylor.*use 'fisher' \(labels of 3 structures: energies"):
        compute_scores(None, bare, criteria=["taylor"])  # no model is touched


def test_no_structures_is_a_clear_error(small_sevennet):
    with pytest.raises(UserError, match="no calibration structures"):
        compute_scores(small_sevennet, [])


def test_predictions_that_are_not_finite_are_no_basis_for_scores(small_sevennet, structures):
    """NaN labels count nothing; NaN predictions must not pass for such."""
    broken = copy.deepcopy(small_sevennet)
    with torch.no_grad():  # of silicon alone
        broken.shift_energies({14: float("nan")})
    with pytest.raises(UserError, match=r"scoring: .* energy is not finite for 1 of the 3 str"):
        compute_scores(broken, structures, criteria=["taylor"])


def test_the_model_is_left_as_it_was(small_sevennet, structures):
    model = copy.deepcopy(small_sevennet)
    before = {name: (p.clone(), p.requires_grad) for name, p in model.named_parameters()}
    compute_scores(model, structures[:1])
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad or not before[name][1]
        assert torch.equal(parameter, before[name][0])
