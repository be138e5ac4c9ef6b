import pytest

pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

import golden_plans


def test_plans_are_the_recorded_ones():
    golden_plans.check("mace")
