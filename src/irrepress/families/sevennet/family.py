"""SevenNet as a family: where each of its functions stands."""

from typing import Any, ClassVar

from irrepress.core.family import (
    DropsLayers,
    EvaluatesFaster,
    LearnsFaster,
    RestrictsElements,
    ShortensCutoff,
    WritesFastTorchScript,
    WritesMLIAP,
    WritesTorchScript,
)
from irrepress.core.irreps import write_irreps
from irrepress.core.model import Model
from irrepress.families.generic.family import BuiltFromSettings, DescribedFamily
from irrepress.families.generic.layout import Layout
from irrepress.families.sevennet import (
    checkpoint,
    cost,
    cutoff,
    depth,
    elements,
    fits,
    gates,
    graph,
    groups,
    learning,
    mliap,
    narrow,
    native,
    torchscript,
    torchscript_own,
    untrained,
)
from irrepress.families.sevennet.architecture import (
    EDGES,
    RESCALE,
    Architecture,
    read_architecture,
)
from irrepress.families.sevennet.layout import ROLES, make_layout


class SevenNetFamily(
    DescribedFamily[Architecture],
    BuiltFromSettings,
    RestrictsElements,
    ShortensCutoff,
    DropsLayers,
    EvaluatesFaster,
    LearnsFaster,
    WritesFastTorchScript,
    WritesTorchScript,
    WritesMLIAP,
):
    """SevenNet-0, l3i5, MF-0 and every other checkpoint of sevenn that is built on e3nn.

    A narrowed model is ragged: each layer and each irrep has its own number of channels, which
    sevenn's own constructor takes as ``irreps_manual``. Supported are SO(3) and O(3) models,
    linear and NequIP self-connections, linear and MLP readouts, one or several modals, but not
    biases in linear maps.
    """

    name = "sevennet"
    package = "sevenn"
    roles = ROLES
    constants = (EDGES, RESCALE, "_convolution.denominator")
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset({"paths", "linear"})

    fetch = staticmethod(checkpoint.fetch)
    load_file = staticmethod(checkpoint.load)
    build = staticmethod(checkpoint.build_model)
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
    evaluator = staticmethod(torchscript.make_evaluator)
    write_torchscript = staticmethod(torchscript.write_torchscript)
    write_own_torchscript = staticmethod(torchscript_own.write_own_torchscript)
    mliap_refusals = staticmethod(mliap.mliap_refusals)
    mliap_notes = staticmethod(mliap.mliap_notes)
    write_mliap = staticmethod(mliap.write_mliap)
    cost_model = staticmethod(cost.make_cost_model)
    cost_terms = staticmethod(cost.make_cost_terms)

    @staticmethod
    def architecture(model: Model) -> Architecture:
        """Irreps of the layers, read from the network."""
        return read_architecture(model.network)

    @staticmethod
    def layout(model: Model) -> Layout:
        """Where channels lie, read from the network."""
        return make_layout(model.network)

    @staticmethod
    def describe(architecture: Architecture) -> dict[str, Any]:
        """Irreps per layer, order of the filter and number of layers."""
        return {
            "irreps": [write_irreps(features) for features in architecture.features],
            "filter_lmax": len(architecture.filter) - 1,
            "layers": architecture.layers,
        }
