"""The search sees what the removal of a whole width saves, and does not go too far."""

import numpy as np
import pytest

from irrepress.core.groups import Group
from irrepress.pruning.allocation import Limits, allocate_greedily


def group(name: str, channels: int) -> Group:
    return Group(
        name=name, layer=0, irrep="0e", channels=channels, width=name, axis="channel", floor=0
    )


LIMITS = Limits(multiple=8, floor=0)


def test_a_width_whose_last_channels_save_most_goes_whole():
    """Paths cost what they cost, however few channels they have."""
    groups = [group("paths", 16), group("channels", 16)]
    scores = {"paths": np.full(16, 1.0), "channels": np.full(16, 0.4)}

    def measured(widths):
        return widths["paths"] + 100 * (widths["paths"] > 0) + widths["channels"]

    found = allocate_greedily(groups, scores, measured, 40, LIMITS, highest=0)
    # Chunk by chunk, 8 of "channels" would go first, at a lower price than 8 of "paths".
    assert found.widths == {"paths": 0, "channels": 16}
    assert found.measured == 16


def test_the_last_removal_is_no_larger_than_needed():
    groups = [group("large", 64), group("small", 8)]
    scores = {"large": np.linspace(1, 2, 64), "small": np.full(8, 2.0)}

    def measured(widths):
        return 10 * (widths["large"] > 0) + widths["large"] + 5 * (widths["small"] > 0)

    # All of "large" has the lowest price, but "small" alone meets the target at less loss.
    target = measured({"large": 64, "small": 0})
    found = allocate_greedily(groups, scores, measured, target, LIMITS, highest=0)
    assert found.widths["large"] + found.widths["small"] > 0
    assert found.measured <= 74
    lost = scores["large"][: 64 - found.widths["large"]].sum()
    lost += scores["small"][: 8 - found.widths["small"]].sum()
    assert lost == pytest.approx(min(scores["large"][:8].sum(), scores["small"].sum()))
