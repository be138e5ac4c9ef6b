"""eSCN-MD as a family: where each of its functions stands."""

from typing import Any

from irrepress.core.family import DropsLayers, MergesExperts, RestrictsElements
from irrepress.core.model import Model
from irrepress.families.escn import (
    checkpoint,
    cost,
    depth,
    elements,
    fits,
    gates,
    graph,
    merge,
    narrow,
    native,
    untrained,
)
from irrepress.families.escn.architecture import Architecture, read_architecture
from irrepress.families.escn.layout import ROLES, make_layout, system_layout
from irrepress.families.generic.family import BuiltFromSettings, DescribedFamily
from irrepress.families.generic.layout import Layout


class EscnFamily(
    DescribedFamily[Architecture],
    BuiltFromSettings,
    MergesExperts,
    RestrictsElements,
    DropsLayers,
):
    """eSCN-MD of fairchem-core 2, the backbone of UMA and eSEN, if it is conservative.

    A narrowed model is uniform: one number of sphere channels, hidden channels and edge channels
    each, one highest order and one highest component, as fairchem's constructor wants them. A
    model is loaded for one task (``modal``), which alone its saved file predicts. Mixtures of
    experts, such as UMA, are merged for one composition before: see
    `irrepress.families.escn.merge`. Structures have no charge and the usual spin.
    """

    name = "escn"
    package = "fairchem-core"
    roles = ROLES

    fetch = staticmethod(checkpoint.fetch)
    load_file = staticmethod(checkpoint.load)
    build = staticmethod(checkpoint.build)
    content = staticmethod(checkpoint.content)
    open_calculator = staticmethod(checkpoint.calculator)
    native_of = staticmethod(untrained.native_of)

    batch = staticmethod(graph.make_batch)
    predict = staticmethod(graph.predict)
    atomic_energies = staticmethod(graph.atomic_energies)

    make_groups = staticmethod(gates.make_groups)
    points = staticmethod(gates.points)
    round_plan = staticmethod(native.round_plan)
    narrow_native = staticmethod(narrow.narrow_native)
    rebuild = staticmethod(narrow.rebuild)
    linear_fits = staticmethod(fits.linear_fits)
    shift_energies = staticmethod(elements.shift_energies)
    restrict_elements = staticmethod(elements.restrict_elements)
    drop_layers = staticmethod(depth.drop)
    groups_with_layers = staticmethod(depth.groups_with_layers)
    merge_experts = staticmethod(merge.merge)
    cost_model = staticmethod(cost.make_cost_model)
    cost_terms = staticmethod(cost.make_cost_terms)

    def own_code(self) -> str:
        """Name fairchem and the inference settings; see the base class."""
        return f"{super().own_code()}, inference settings {checkpoint.SETTINGS!r}"

    @staticmethod
    def architecture(model: Model) -> Architecture:
        """Sizes of the network, read from fairchem's config."""
        return read_architecture(model.native)

    @staticmethod
    def layout(model: Model) -> Layout:
        """Where channels lie; see `irrepress.families.escn.layout`."""
        architecture = read_architecture(model.native)
        return make_layout(architecture) + system_layout(architecture)

    @staticmethod
    def describe(a: Architecture) -> dict[str, Any]:
        """Irreps, hidden and edge channels, highest order and component, number of layers."""
        irreps = "+".join(f"{a.channels}x{degree}e" for degree in range(a.lmax + 1))
        return {
            "irreps": [irreps] * a.layers,
            "filter_lmax": a.lmax,
            "mmax": a.mmax,
            "hidden_channels": a.hidden,
            "edge_channels": a.edge_channels,
            "layers": a.layers,
        }
