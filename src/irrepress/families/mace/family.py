"""MACE as a family: where each of its functions stands."""

from typing import Any, ClassVar

from irrepress.core.family import (
    DropsLayers,
    LearnsFaster,
    RestrictsElements,
    ShortensCutoff,
    WritesMLIAP,
    WritesSymmetrix,
    WritesTorchScript,
)
from irrepress.core.irreps import write_irreps
from irrepress.core.model import Model
from irrepress.families.generic.family import BuiltFromSettings, DescribedFamily
from irrepress.families.generic.layout import Layout
from irrepress.families.mace import (
    checkpoint,
    cost,
    cutoff,
    deployed,
    depth,
    elements,
    fits,
    gates,
    graph,
    groups,
    learning,
    narrow,
    native,
    untrained,
)
from irrepress.families.mace.architecture import Architecture, read_architecture
from irrepress.families.mace.layout import ROLES, make_layout


class MACEFamily(
    DescribedFamily[Architecture],
    BuiltFromSettings,
    RestrictsElements,
    ShortensCutoff,
    DropsLayers,
    LearnsFaster,
    WritesTorchScript,
    WritesMLIAP,
    WritesSymmetrix,
):
    """MACE-MP-0, MPA-0, OFF23 and every other `MACE` or `ScaleShiftMACE` built on e3nn.

    Embedding, features and atomic basis share one number of channels, since MACE's constructor
    takes no more; messages, radial networks and readout have their own. A modal is the name of
    one of the model's heads. Files are whole modules, of which no code is run: see
    `irrepress.families.mace.checkpoint`.
    """

    name = "mace"
    package = "mace-torch"
    roles = ROLES
    constants = ("radial_embedding", "pair_repulsion_fn", "atomic_energies_fn", "scale_shift")
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset({"paths", "linear", "couplings"})

    fetch = staticmethod(checkpoint.fetch)
    load_file = staticmethod(checkpoint.load)
    build = staticmethod(checkpoint.build)
    content = staticmethod(checkpoint.content)
    open_calculator = staticmethod(checkpoint.calculator)
    native_of = staticmethod(untrained.native_of)

    batch = staticmethod(graph.make_batch)
    predict = staticmethod(graph.predict)
    predict_for_loss = staticmethod(learning.predict_for_loss)
    atomic_energies = staticmethod(graph.atomic_energies)

    make_groups = staticmethod(groups.make_groups)
    points = staticmethod(gates.points)
    round_plan = staticmethod(native.round_plan)
    narrow_native = staticmethod(narrow.narrow_config)
    rebuild = staticmethod(narrow.rebuild)
    linear_fits = staticmethod(fits.linear_fits)
    shift_energies = staticmethod(elements.shift_energies)
    restrict_elements = staticmethod(elements.restrict_elements)
    shorten_cutoff = staticmethod(cutoff.shorten)
    drop_layers = staticmethod(depth.drop)
    groups_with_layers = staticmethod(depth.groups_with_layers)
    needed_layers = staticmethod(depth.needed)
    layers_to_keep = staticmethod(depth.to_keep)
    write_own_torchscript = staticmethod(deployed.write_own_torchscript)
    mliap_refusals = staticmethod(deployed.mliap_refusals)
    mliap_notes = staticmethod(deployed.mliap_notes)
    write_mliap = staticmethod(deployed.write_mliap)
    symmetrix_refusals = staticmethod(deployed.symmetrix_refusals)
    symmetrix_groups = staticmethod(deployed.symmetrix_groups)
    write_symmetrix = staticmethod(deployed.write_symmetrix)
    cost_model = staticmethod(cost.make_cost_model)
    cost_terms = staticmethod(cost.make_cost_terms)

    @staticmethod
    def architecture(model: Model) -> Architecture:
        """Irreps and widths of the layers, read from the network."""
        return read_architecture(model.network)

    @staticmethod
    def layout(model: Model) -> Layout:
        """Where channels lie, read from the network."""
        return make_layout(model.network)

    @staticmethod
    def describe(architecture: Architecture) -> dict[str, Any]:
        """Irreps per layer, orders, widths, numbers of layers and heads."""
        return {
            "irreps": [write_irreps(features) for features in architecture.features],
            "edge_irreps": [write_irreps(layer.edges) for layer in architecture.layers],
            "filter_lmax": len(architecture.basis) - 1,
            "correlation": [layer.correlation for layer in architecture.layers],
            "radial": list(architecture.radial),
            "readout": architecture.readout,
            "layers": len(architecture.layers),
            "heads": architecture.heads,
        }
