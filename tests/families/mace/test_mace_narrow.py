"""Narrowing of real weights along every axis, parameter counts, and rounding of plans."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.testing import assert_close, masked_and_narrowed, random_plan

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.catalogue.families import named_shapes
from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.core.target import Explicit
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import Costs, Measure, plan_for_fraction, plan_for_irreps


def keep_some(groups, prefix: str, count: int, seed: int = 0) -> dict[str, tuple[int, ...]]:
    """Other random channels of every group whose width begins with ``prefix``."""
    rng = np.random.default_rng(seed)
    kept = {}
    for g in (g for g in groups if g.width.startswith(prefix)):
        chosen = range(count) if g.in_order else rng.permutation(g.channels)[:count].tolist()
        kept[g.name] = tuple(sorted(chosen))
    return kept


@pytest.mark.parametrize(
    ("prefix", "count"),
    [("hidden", 40), ("edge", 24), ("radial", 20), ("readout", 7), ("correlation.0", 1)],
)
def test_each_axis_of_real_weights(gst, gst_frames, prefix, count):
    whole = Plan.identity(gst.groups())
    kept = keep_some(gst.groups(), prefix, count)
    assert kept
    plan = replace(whole, keep={**whole.keep, **kept})
    assert gst.native_plan(plan) == (plan, [])
    masked, narrowed, small = masked_and_narrowed(gst, plan, gst_frames[:2])
    assert_close(narrowed, masked, 1e-10)
    assert small.parameter_count() < gst.parameter_count()
    unpruned = gst.predict(gst.batch(gst_frames[:2]))
    assert (narrowed.forces - unpruned.forces).abs().max() > 1e-3


@pytest.mark.parametrize("highest", [1, 2])
@pytest.mark.parametrize("hidden", [0, 1])
def test_orders_of_real_weights(gst, gst_frames, highest, hidden):
    groups = gst.groups()
    whole = Plan.identity(groups)
    keep = {
        g.name: ()
        if g.l > (highest if g.axis == "order" else hidden) and g.floor == 0
        else whole.keep[g.name]
        for g in groups
    }
    plan, messages = gst.native_plan(replace(whole, keep=keep))
    assert not messages
    masked, narrowed, small = masked_and_narrowed(gst, plan, gst_frames[:2])
    assert_close(narrowed, masked, 1e-10)
    assert small.shape()["filter_lmax"] == highest
    assert small.shape()["irreps"][1] == "+".join(["64x0e", "64x1o"][: hidden + 1])


@pytest.mark.parametrize("irreps", ["32x0e", "32x0e+32x1o"])
def test_irreps_leave_the_filter_of_real_weights_alone(gst, irreps):
    """Cut to the highest order of the irreps, it cost most of the accuracy, and nobody was told."""
    groups, scores = gst.groups(), gst.block_norms()
    scores = {name: norm.numpy() for name, norm in scores.items()}
    target = Explicit(irreps=irreps)
    plan, messages = gst.native_plan(plan_for_irreps(groups, scores, target))
    assert not messages
    small, whole = gst.narrow(plan), gst.shape()
    shape = small.shape()
    assert shape["irreps"][1] == shape["edge_irreps"][1] == irreps
    kept = set(whole) - {"irreps", "edge_irreps"}
    assert {key: shape[key] for key in kept} == {key: whole[key] for key in kept}
    assert whole["filter_lmax"] == 3


def test_the_parents_own_irreps_change_nothing(gst, gst_frames):
    groups = gst.groups()
    scores = {g.name: np.zeros(g.channels) for g in groups}
    plan = plan_for_irreps(groups, scores, Explicit(irreps="64x0e+64x1o"))
    assert plan.keep == Plan.identity(groups).keep
    # What the orders of the filter are worth that irreps do not name.
    cut = plan_for_irreps(groups, scores, Explicit(irreps="64x0e+64x1o", filter_lmax=1))
    batch = gst.batch(gst_frames[:2])
    expected = gst.predict(batch).forces
    found = gst.narrow(cut).predict(batch).forces
    assert (found - expected).abs().mean() > 0.05


def test_orders_that_products_need_cannot_be_cut(gst):
    groups = gst.groups()
    scores = {g.name: np.zeros(g.channels) for g in groups}
    for highest in (0, 4):
        with pytest.raises(UserError, match=f"{highest} is outside the model's range, 1 to 3"):
            plan_for_irreps(groups, scores, Explicit(filter_lmax=highest))


def test_models_of_scalars(mace, real_file, structures):
    """L = 0 and products of order 3, with real weights: H, C, N, O."""
    model = mace.load(real_file("mace-ani-cc-64x0e"), dtype=torch.float64)
    assert model.parameter_count() == 196944
    groups = model.groups()
    for seed in range(2):
        plan, _ = model.native_plan(random_plan(groups, seed, None, 2 - seed))
        masked, narrowed, _ = masked_and_narrowed(model, plan, structures[2:])
        assert_close(narrowed, masked, 1e-10)


def test_float32(mace, real_file, gst_frames):
    model = mace.load(real_file("mace-gst-64x0e+64x1o"))
    plan, _ = model.native_plan(random_plan(model.groups(), 4, None, None))
    masked, narrowed, small = masked_and_narrowed(model, plan, gst_frames[:1])
    assert small.dtype == narrowed.forces.dtype == torch.float32
    assert_close(narrowed, masked, 1e-4, floor=1e-4)


@pytest.mark.slow
def test_counts_of_official_and_pruned_shapes(mp_large):
    """MACE-MP-0 large narrowed to the shape of another one has exactly its parameters."""
    assert mp_large.parameter_count() == 5725072
    groups = mp_large.groups()
    scores = {g.name: np.zeros(g.channels) for g in groups}
    cost = mp_large.cost_model()

    def count(irreps: str) -> int:
        explicit = Explicit(irreps=irreps, filter_lmax=3)
        return cost(plan_for_irreps(groups, scores, explicit).widths(groups)).parameters

    orders = ["{0}x0e", "{0}x0e+{0}x1o", "{0}x0e+{0}x1o+{0}x2e"]
    assert [count(irreps.format(128)) for irreps in orders] == [3847696, 4688656, 5725072]
    millions = {96: (2.31, 2.91, 3.66), 64: (1.15, 1.54, 2.02), 48: (0.72, 1.01, 1.36)}
    for channels, expected in millions.items():
        found = [round(count(irreps.format(channels)) / 1e6, 2) for irreps in orders]
        assert tuple(found) == expected
    for name, expected in (("mace-mp-0-small", 3847696), ("mace-mp-0-medium", 4688656)):
        plan = plan_for_irreps(groups, scores, named_shapes("mace")[name])
        assert mp_large.native_plan(plan) == (plan, [])
        small = mp_large.narrow(plan)
        assert small.parameter_count() == expected
        assert small.shape()["filter_lmax"] == 3


def test_counts_of_organic_models(network_maker):
    """MACE-OFF23 small, medium and large, for ten elements."""
    numbers = [1, 5, 6, 7, 8, 9, 15, 16, 17, 35]
    shapes = {"96x0e": 694320, "128x0e+128x1o": 1428368, "192x0e+192x1o+192x2e": 3551952}
    for irreps, count in shapes.items():
        network = network_maker(
            dtype=torch.float32,
            num_bessel=8,
            max_ell=3,
            hidden_irreps=irreps,
            MLP_irreps="16x0e",
            correlation=[3, 3],
            radial_MLP=[64, 64, 64],
            atomic_numbers=numbers,
            num_elements=10,
            atomic_energies=[-1.0] * 10,
        )
        assert sum(p.numel() for p in network.parameters()) == count


def test_budgets_give_native_plans(gst, gst_frames):
    """What the search for a budget finds needs no rounding, and meets the budget when built."""
    groups = gst.groups()
    rng = np.random.default_rng(0)
    scores = {g.name: rng.random(g.channels) for g in groups}
    measure = Measure(groups, Costs(gst.cost_model()), "parameters")
    for allocation, budget in (("greedy", 0.4), ("uniform", 0.5)):
        plan = plan_for_fraction(
            groups, scores, measure, budget=budget, allocation=allocation, limits=Limits()
        )
        native, changes = gst.native_plan(plan)
        assert all("nothing that is kept" in c or "no features" in c for c in changes)
        small = gst.narrow(native)
        assert 0 < small.parameter_count() <= budget * gst.parameter_count()
        assert torch.isfinite(small.predict(small.batch(gst_frames[:1])).forces).all()


def test_narrowing_twice_is_narrowing_once(gst, gst_frames):
    rng = np.random.default_rng(0)
    first, _ = gst.native_plan(Plan.random(gst.groups(), rng))
    half = gst.narrow(first)
    second, _ = half.native_plan(Plan.random(half.groups(), rng))
    twice, once = half.narrow(second), gst.narrow(first.then(second))
    assert once.shape() == twice.shape()
    batch = once.batch(gst_frames[:1])
    assert_close(twice.predict(batch), once.predict(batch), 1e-10)


def test_unequal_numbers_of_channels_grow_to_the_largest(gst):
    whole = Plan.identity(gst.groups())
    keep = {**whole.keep, **keep_some(gst.groups(), "hidden", 8), "basis.1": (1, 5)}
    keep["features.1.1o"] = tuple(range(12))
    plan, messages = gst.native_plan(replace(whole, keep=keep))
    assert {len(plan.keep[g.name]) for g in gst.groups() if g.width.startswith("hidden")} == {12}
    assert any(m.startswith("basis.1: 2 -> 12 channels, because MACE ties it to") for m in messages)
    assert set((1, 5)) <= set(plan.keep["basis.1"])
    gst.narrow(plan)
    with pytest.raises(UserError, match="must keep the same number"):
        gst.narrow(replace(whole, keep=keep))


def test_messages_without_features_are_dropped(gst):
    whole = Plan.identity(gst.groups())
    plan, messages = gst.native_plan(replace(whole, keep={**whole.keep, "features.1.1o": ()}))
    assert plan.keep["messages.1.1o"] == ()
    assert messages == [
        "messages.1.1o: 64 -> 0 channels, because no features of this order are kept"
    ]


def test_products_lose_their_highest_order_first(gst):
    whole = Plan.identity(gst.groups())
    asked = replace(whole, keep={**whole.keep, "correlation.0": (1,)})
    with pytest.raises(UserError, match="only be removed from the last"):
        gst.narrow(asked)
    plan, messages = gst.native_plan(asked)
    assert plan.keep["correlation.0"] == (0, 1) and "correlation.0" in messages[0]


def test_filter_keeps_the_order_that_mace_needs(gst):
    whole = Plan.identity(gst.groups())
    asked = replace(whole, keep={**whole.keep, "filter.1o": (), "filter.3o": ()})
    with pytest.raises(UserError, match=r"filter\.1o"):
        gst.narrow(asked)
    plan, messages = gst.native_plan(asked)
    assert [plan.keep[f"filter.{ir}"] for ir in ("0e", "1o", "2e", "3o")] == [(0,)] * 3 + [()]
    assert messages == ["filter.1o: kept, because the filter holds all orders up to 2"]


def test_restricting_to_one_element_is_lossless(mp_large):
    """Most parameters of a model for many elements belong to one of them each."""
    silicon = mp_large.restrict_elements([14])
    assert silicon.parameter_count() == 723856
    assert silicon.elements == (14,)
    rng = np.random.default_rng(0)
    structure = Structure(
        numbers=np.full(3, 14),
        positions=rng.normal(size=(3, 3)) * 1.5,
        cell=np.zeros((3, 3)),
        pbc=np.zeros(3, dtype=bool),
        energy=np.nan,
        forces=np.full((3, 3), np.nan),
        stress=np.full(6, np.nan),
    )
    found, expected = (model.predict(model.batch([structure])) for model in (silicon, mp_large))
    assert_close(found, expected, 1e-5, floor=1e-5)
