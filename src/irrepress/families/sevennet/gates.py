"""Where the groups of a SevenNet network are gated."""

from collections.abc import Iterator, Mapping, Sequence

import sevenn._keys as KEY

from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.generic import gates as generic
from irrepress.families.sevennet.architecture import (
    EDGES,
    EMBEDDING,
    Architecture,
)


def points(
    model: Model, architecture: Architecture, groups: Mapping[str, Group]
) -> Iterator[generic.Site]:
    """Yield where groups are gated; see `DescribedFamily.points`."""
    modules = model.network._modules

    def features(module: str, names: Sequence[str]) -> generic.Site:
        here = [groups[name] for name in names]
        return generic.side_by_side(modules[module], here, key=KEY.NODE_FEATURE)

    filters = [groups[filter_group(irrep)] for irrep in architecture.filter]
    yield generic.side_by_side(modules[EDGES], filters, "edges", key=KEY.EDGE_ATTR)
    for t, irreps in enumerate(architecture.features):
        source = EMBEDDING if t == 0 else f"{t - 1}_equivariant_gate"
        yield features(source, [feature_group(t, irrep) for irrep in irreps])
        if t < architecture.layers:
            sent = [message_group(t, irrep) for irrep in irreps]
            yield features(f"{t}_self_interaction_1", sent)
