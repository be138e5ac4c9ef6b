import pytest

from irrepress.core.groups import widths_of
from irrepress.pruning.shapes import design_shapes


@pytest.fixture(scope="module")
def groups(small_sevennet):
    return small_sevennet.groups()


def test_shapes_are_different_and_can_be_built(small_sevennet, groups):
    plans = design_shapes(groups, 24, seed=1)
    widths = [plan.widths(groups) for plan in plans]
    assert len({tuple(w.values()) for w in widths}) == len(plans) == 24
    assert widths[0] == widths_of(groups)
    for plan in plans:
        plan.check(groups)
    small_sevennet.narrow(small_sevennet.native_plan(plans[-1])[0])


def test_every_order_is_cut_and_single_widths_change(groups):
    full = widths_of(groups)
    widths = [plan.widths(groups) for plan in design_shapes(groups, 36, seed=0)]
    for highest in (0, 1):
        cut = {g.width for g in groups if g.l > highest}
        assert {key: 0 if key in cut else full[key] for key in full} in widths
    changed = [[key for key in full if w[key] != full[key]] for w in widths]
    assert len({keys[0] for keys in changed if len(keys) == 1}) > 5


def test_the_seed_decides(groups):
    assert design_shapes(groups, 30, seed=1) == design_shapes(groups, 30, seed=1)
    assert design_shapes(groups, 30, seed=1) != design_shapes(groups, 30, seed=2)


def test_a_model_with_few_shapes_gets_as_many_as_there_are(groups):
    few = [g for g in groups if g.width == "1.1e" or g.axis == "order"]
    assert 3 < len(design_shapes(few, 200, seed=0)) < 200
