"""SevenNet networks as TorchScript for CPUs: sevenn's interface, faster code, the same results.

LAMMPS's pair style ``e3gnn`` loads the file unchanged. It gives edge vectors and asks for the
energy and its derivatives by them. Here the module computes these itself
(`irrepress.families.e3nn.scripted`), and gives autograd an energy whose slopes they are, so that
there is no network to go back through. Second derivatives are not in the file.

What does not depend on the structure is computed when the file is written: radial networks become
splines, the factors of maps and paths go into their weights, linear maps of the readout become
one, a modal becomes a constant.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sevenn
import sevenn._keys as KEY
import torch
from ase.data import chemical_symbols
from e3nn.math import normalize2mom
from e3nn.o3 import Irreps, TensorProduct, spherical_harmonics, wigner_3j
from sevenn.nn.activation import ShiftedSoftPlus
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.family import Evaluator
from irrepress.core.files import atomic_path
from irrepress.core.model import Model, NativeModule, Prediction
from irrepress.core.structure import Structure
from irrepress.families.e3nn.radial_table import HERMITE, RadialTable, tabulate
from irrepress.families.e3nn.scripted import Chunk, Convolution, Edges, Harmonics, Neighbourhoods
from irrepress.families.e3nn.terms import Coupling, Term, read_slots
from irrepress.families.generic.building import building
from irrepress.families.generic.graphs import voigt
from irrepress.families.sevennet import checkpoint, graph
from irrepress.families.sevennet.architecture import (
    EDGES,
    EMBEDDING,
    ENERGY,
    HIDDEN,
    MLP_READOUT,
    RESCALE,
)

# Numbers that a chunk's largest intermediate holds: what stays in a processor's cache. Fewer edges
# than these cost more in calls than they save in memory.
_AT_ONCE = 400_000
_FEWEST_AT_ONCE = 350
# In the file, an activation is a number; its factor stands beside it.
_ACTIVATIONS: dict[Any, int] = {
    torch.nn.functional.silu: 1,
    torch.tanh: 2,
    ShiftedSoftPlus: 3,
    torch.sigmoid: 4,
    torch.nn.functional.relu: 5,
    torch.nn.functional.elu: 6,
    torch.abs: 7,
}


def activate(values: Tensor, kind: int, factor: float) -> tuple[Tensor, Tensor]:
    """Return an activation and its slope, for TorchScript to compile."""
    if kind == 1:
        sigmoid = torch.sigmoid(values)
        result, slope = values * sigmoid, sigmoid * (1 + values * (1 - sigmoid))
    elif kind == 2:
        result = torch.tanh(values)
        slope = 1 - result * result
    elif kind == 3:
        result = torch.nn.functional.softplus(values) - 0.6931471805599453
        slope = torch.sigmoid(values)
    elif kind == 4:
        result = torch.sigmoid(values)
        slope = result * (1 - result)
    elif kind == 5:
        result, slope = torch.relu(values), (values > 0).to(values.dtype)
    elif kind == 6:
        result = torch.nn.functional.elu(values)
        slope = torch.exp(values.clamp(max=0.0))
    elif kind == 7:
        result, slope = values.abs(), values.sign()
    else:
        result, slope = values, torch.ones_like(values)
    return result * factor, slope * factor


class Layer(torch.nn.Module):
    """One interaction: features of atoms in, features of atoms out, and back.

    Features of one order l of all irreps stand together, ``[atoms, 2 l + 1, channels]``.

    Args:
        convolution: the sum over neighbours.
        slot_places: for each slot of the convolution, place of its order among the features.
        enter: for each slot, ``[channels in, channels]``.
        enter_constants: for each slot, ``[channels]``, or none of them.
        out_orders: for each order of what is gated, l; scalars come first.
        own_places: for each of these, place of its order among the features; -1: there is none.
        own: for each of these, ``[types or 1, channels in, channels]``: the self-connection.
        block_places: for each of these, place among the convolution's blocks; -1: there is none.
        leave: for each of these, ``[channels of the block, channels]``.
        constants: ``[channels]`` of the scalars that are gated.
        widths: number of scalars that each activation takes: first those that stay, then gates.
        kinds: the activations.
        factors: of the activations.
        stay: how many scalars are no gates.
    """

    slot_places: list[int]
    enter: list[Tensor]
    enter_constants: list[Tensor]
    out_orders: list[int]
    own_places: list[int]
    own: list[Tensor]
    block_places: list[int]
    leave: list[Tensor]
    widths: list[int]
    kinds: list[int]
    factors: list[float]

    def __init__(
        self,
        convolution: Convolution,
        slot_places: list[int],
        enter: list[Tensor],
        enter_constants: list[Tensor],
        out_orders: list[int],
        own_places: list[int],
        own: list[Tensor],
        block_places: list[int],
        leave: list[Tensor],
        constants: Tensor,
        widths: list[int],
        kinds: list[int],
        factors: list[float],
        stay: int,
    ):
        super().__init__()
        self.convolution = convolution
        self.slot_places, self.enter, self.enter_constants = slot_places, enter, enter_constants
        self.out_orders, self.own_places, self.own = out_orders, own_places, own
        self.block_places, self.leave, self.constants = block_places, leave, constants
        self.widths, self.kinds, self.factors, self.stay = widths, kinds, factors, stay

    def forward(
        self, features: list[Tensor], types: Tensor, chunks: list[Chunk]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the next features, and what the way back needs: what entered, and the gates.

        Args:
            features: of the atoms.
            types: of the atoms, ``[atoms]``.
            chunks: the atoms and their edges.
        """
        entering = self.send(features)
        blocks = self.convolution(entering, types.size(0), chunks)
        after, kept = self.combine(features, blocks, types)
        return after, entering, kept

    @torch.jit.export
    def pull_back(
        self,
        gradients: list[Tensor],
        features: list[Tensor],
        entered: list[Tensor],
        kept: list[Tensor],
        types: Tensor,
        chunks: list[Chunk],
        wanted: bool,
    ) -> list[Tensor]:
        """Return derivatives by the features; zero if they are not wanted.

        Args:
            gradients: derivatives by the next features.
            features: of the atoms.
            entered: what `forward` returned for this.
            kept: likewise.
            types: of the atoms.
            chunks: the atoms and their edges.
            wanted: whether derivatives by the features are.
        """
        before, blocks = self.open_gates(gradients, kept)
        sent = self.convolution.pull_back(entered, blocks, chunks, wanted)
        return self.add_up(features, before, sent, types)

    def send(self, features: list[Tensor]) -> list[Tensor]:
        """Return what neighbours send, for each slot, ``[atoms * (2 l + 1), channels]``."""
        entering: list[Tensor] = []
        for slot in range(len(self.enter)):
            sent = features[self.slot_places[slot]].flatten(0, 1) @ self.enter[slot]
            if self.enter_constants[slot].numel() > 0:
                sent = sent + self.enter_constants[slot]
            entering.append(sent)
        return entering

    def combine(
        self, features: list[Tensor], blocks: list[Tensor], types: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the next features, and what gates had, from these and the convolution's blocks."""
        before: list[Tensor] = []
        for place in range(len(self.out_orders)):
            total = torch.zeros(0, dtype=features[0].dtype, device=features[0].device)
            block = self.block_places[place]
            if block >= 0:
                total = blocks[block] @ self.leave[place]
            source = self.own_places[place]
            if source >= 0:
                own = self.connect(features[source], self.own[place], types, False)
                total = total + own if block >= 0 else own
            if place == 0:
                total = total + self.constants
            before.append(total)
        scalars = before[0]
        results: list[Tensor] = []
        slopes: list[Tensor] = []
        first = 0
        for activation in range(len(self.widths)):
            part = scalars[:, :, first : first + self.widths[activation]]
            result, slope = activate(part, self.kinds[activation], self.factors[activation])
            results.append(result)
            slopes.append(slope)
            first += self.widths[activation]
        active, slope = torch.cat(results, dim=2), torch.cat(slopes, dim=2)
        after = [active[:, :, : self.stay].contiguous()]
        first = self.stay
        for place in range(1, len(self.out_orders)):
            channels = before[place].size(2)
            after.append(before[place] * active[:, :, first : first + channels])
            first += channels
        kept = [active, slope]
        kept.extend(before[1:])
        return after, kept

    def open_gates(
        self, gradients: list[Tensor], kept: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return derivatives by what was gated, and by the convolution's blocks."""
        active, slope = kept[0], kept[1]
        scalars = [gradients[0]]
        gated: list[Tensor] = []
        first = self.stay
        for place in range(1, len(self.out_orders)):
            channels = kept[place + 1].size(2)
            gates = active[:, :, first : first + channels]
            scalars.append((gradients[place] * kept[place + 1]).sum(1, keepdim=True))
            gated.append(gradients[place] * gates)
            first += channels
        before = [torch.cat(scalars, dim=2) * slope]
        before.extend(gated)
        blocks: list[Tensor] = []
        for block in range(len(self.convolution.block_orders)):
            place = self.block_places.index(block)
            blocks.append(before[place] @ self.leave[place].t())
        return before, blocks

    def add_up(
        self, like: list[Tensor], before: list[Tensor], entering: list[Tensor], types: Tensor
    ) -> list[Tensor]:
        """Return derivatives by features, from those by what was gated and what neighbours sent."""
        results = [torch.zeros_like(each) for each in like]
        for slot in range(len(self.enter)):
            place = self.slot_places[slot]
            results[place] += (entering[slot] @ self.enter[slot].t()).view_as(results[place])
        for place in range(len(self.out_orders)):
            source = self.own_places[place]
            if source >= 0:
                results[source] += self.connect(before[place], self.own[place], types, True)
        return results

    def connect(self, features: Tensor, maps: Tensor, types: Tensor, back: bool) -> Tensor:
        """Map the features of atoms, by their types if there are several maps."""
        if back:
            maps = maps.transpose(1, 2)
        if maps.size(0) == 1:
            return features @ maps[0]
        shape = [features.size(0), features.size(1), maps.size(2)]
        result = torch.zeros(shape, dtype=features.dtype, device=features.device)
        present: list[int] = torch.unique(types).tolist()
        for kind in present:
            here = torch.nonzero(types == kind).flatten()
            result.index_copy_(0, here, features.index_select(0, here) @ maps[kind])
        return result


class WayBack(torch.nn.Module):
    """A layer, called for its derivatives: TorchScript goes through modules in one order."""

    def __init__(self, layer: Layer):
        super().__init__()
        self.layer = layer

    def forward(
        self,
        gradients: list[Tensor],
        features: list[Tensor],
        entered: list[Tensor],
        kept: list[Tensor],
        types: Tensor,
        chunks: list[Chunk],
        wanted: bool,
    ) -> list[Tensor]:
        """Do what `Layer.pull_back` does."""
        return self.layer.pull_back(gradients, features, entered, kept, types, chunks, wanted)


class Network(torch.nn.Module):
    """The whole network, from LAMMPS's tensors to the energy.

    Args:
        harmonics: spherical harmonics of edges.
        normalize: whether of unit vectors.
        edges: brings edges into chunks.
        embedding: features of each type, ``[types, channels]``.
        layers: the interactions.
        maps: of the readout, one after the other, ``[channels in, channels out]``.
        constants: of the first of these, ``[channels out]``.
        kinds: activation after each of the maps.
        factors: of the activations.
        scale: of each type in eV, ``[types]``.
        shift: of each type in eV, ``[types]``.
    """

    maps: list[Tensor]
    kinds: list[int]
    factors: list[float]

    def __init__(
        self,
        harmonics: Harmonics,
        normalize: bool,
        edges: Edges,
        embedding: Tensor,
        layers: Sequence[Layer],
        maps: list[Tensor],
        constants: Tensor,
        kinds: list[int],
        factors: list[float],
        scale: Tensor,
        shift: Tensor,
    ):
        super().__init__()
        self.harmonics, self.normalize, self.edges = harmonics, normalize, edges
        self.embedding = embedding
        self.layers = torch.nn.ModuleList(layers)
        self.ways_back = torch.nn.ModuleList(WayBack(layer) for layer in reversed(layers))
        self.maps, self.constants, self.kinds, self.factors = maps, constants, kinds, factors
        self.scale, self.shift = scale, shift

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what was given, with the energy and that of each atom.

        Args:
            data: ``x``, indices of the atoms' types, ``[atoms]``; ``edge_index``, ``[2, edges]``;
                ``edge_vec``, from the first atom of an edge to the second, in Å, ``[edges, 3]``.
        """
        given = data["edge_vec"]
        lengths, harmonics = self.describe_edges(given)
        with torch.no_grad():
            atomic, by_length, by_harmonics = self.evaluate(
                data["x"], data["edge_index"], lengths.detach(), harmonics.detach()
            )
        # Zero, with the slopes that the energy has.
        slopes = ((lengths - lengths.detach()) * by_length).sum()
        slopes = slopes + ((harmonics - harmonics.detach()) * by_harmonics).sum()
        result = data.copy()
        result["atomic_energy"] = atomic.to(given.dtype).unsqueeze(1)
        result["inferred_total_energy"] = (atomic.sum() + slopes).to(given.dtype)
        return result

    def describe_edges(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return lengths and spherical harmonics of edge vectors."""
        vectors = given.to(self.embedding.dtype)
        lengths = (vectors * vectors).sum(1).sqrt()
        unit = vectors / lengths.unsqueeze(1) if self.normalize else vectors
        return lengths, self.harmonics(unit)

    @torch.jit.unused
    @torch.no_grad()
    def last_scalars(self, data: dict[str, Tensor]) -> Tensor:
        """Return what the readout reads of each atom, ``[atoms, channels]``; not in files."""
        lengths, harmonics = self.describe_edges(data["edge_vec"])
        near, kinds, features = self.enter(data["x"], data["edge_index"], lengths, harmonics)
        for layer in self.layers:
            features, _, _ = layer(features, kinds, near.chunks)
        return features[0].squeeze(1)[near.rank]

    def enter(
        self, types: Tensor, index: Tensor, lengths: Tensor, harmonics: Tensor
    ) -> tuple[Neighbourhoods, Tensor, list[Tensor]]:
        """Return the atoms in the order of their chunks, their types and features."""
        near = self.edges(types.size(0), index[0], index[1], lengths, harmonics)
        kinds = types[near.order]
        return near, kinds, [self.embedding.index_select(0, kinds).unsqueeze(1)]

    def evaluate(
        self, types: Tensor, index: Tensor, lengths: Tensor, harmonics: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return energies of atoms, derivatives by lengths and by harmonics."""
        near, kinds, features = self.enter(types, index, lengths, harmonics)
        met: list[list[Tensor]] = []
        entered: list[list[Tensor]] = []
        kept: list[list[Tensor]] = []
        for layer in self.layers:
            met.append(features)
            features, entering, gates = layer(features, kinds, near.chunks)
            entered.append(entering)
            kept.append(gates)
        energies, gradient = self.read_out(features[0].squeeze(1))
        scale = self.scale[kinds]
        energies = energies * scale + self.shift[kinds]
        gradients = [(gradient * scale.unsqueeze(1)).unsqueeze(1)]
        place = len(met) - 1
        for way_back in self.ways_back:
            gradients = way_back(
                gradients,
                met[place],
                entered[place],
                kept[place],
                kinds,
                near.chunks,
                place > 0,
            )
            place -= 1
        by_length, by_harmonics = self.edges.collect(near, harmonics)
        return energies[near.rank], by_length, by_harmonics

    def read_out(self, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Return a number for each atom and its derivatives, ``[atoms, channels]``."""
        values = scalars
        slopes: list[Tensor] = []
        for step in range(len(self.maps)):
            values = values @ self.maps[step]
            if step == 0:
                values = values + self.constants
            values, slope = activate(values, self.kinds[step], self.factors[step])
            slopes.append(slope)
        gradient = torch.ones_like(values)
        for back in range(len(self.maps)):
            step = len(self.maps) - 1 - back
            gradient = (gradient * slopes[step]) @ self.maps[step].t()
        return values.squeeze(1), gradient


def write_torchscript(model: Model, path: Path) -> None:
    """Write the file; see `irrepress.core.family.WritesFastTorchScript`."""
    scripted = torch.jit.script(make_network(model))
    config = model.native
    symbols = [chemical_symbols[z] for z in _types(config)]
    extra = {
        "chemical_symbols_to_index": " ".join(symbols),
        "cutoff": str(config[KEY.CUTOFF]),
        "num_species": str(len(symbols)),
        "flashTP": "no",
        "oeq": "no",
        "model_type": "E3_equivariant_model",
        "version": sevenn.__version__,
        "dtype": "double" if model.dtype == torch.float64 else "single",
        "time": "not recorded",
    }
    with atomic_path(path) as temporary:
        torch.jit.save(scripted, str(temporary), _extra_files=extra)


@dataclass(frozen=True)
class _Evaluator:
    """Predicts by the module that is written; see `irrepress.core.family.EvaluatesFaster`."""

    model: Model
    network: Network

    def __call__(self, structure: Structure) -> Prediction:
        inputs = lammps_inputs(self.model, structure, self.model.dtype)
        energy, forces, virial = run_as_lammps(self.network, inputs)
        volume = abs(float(np.linalg.det(structure.cell)))
        stress = (virial + virial.T) / (2 * volume) if volume else torch.zeros_like(virial)
        return Prediction(energy[None], forces, voigt(stress[None]))

    def features(self, structure: Structure) -> Tensor:
        """Return what the readout reads, ``[atoms, channels]``."""
        inputs = lammps_inputs(self.model, structure, self.model.dtype)
        return self.network.last_scalars(inputs)


def make_evaluator(model: Model) -> Evaluator:
    """Return the function; see `irrepress.core.family.EvaluatesFaster`."""
    return _Evaluator(model, make_network(model))


def lammps_inputs(
    model: Model, structure: Structure, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Return what LAMMPS's pair style gives a TorchScript of a model for a structure.

    Args:
        model: the model.
        structure: the structure.
        dtype: type of the edge vectors; that of the pair style by default.
    """
    batch = graph.make_batch(model, [structure])
    index = torch.full((120,), -1)
    types = _types(model.native)
    assert list(types.values()) == list(range(len(types)))
    index[list(types)] = torch.arange(len(types))
    return {
        "x": index[batch.inputs[KEY.ATOMIC_NUMBERS].cpu()],
        "edge_index": batch.inputs[KEY.EDGE_IDX].cpu(),
        "edge_vec": batch.inputs[KEY.EDGE_VEC].to("cpu", dtype),
        "num_atoms": torch.tensor([len(structure)]),
        "nlocal": torch.tensor([len(structure)]),
    }


def run_as_lammps(
    network: torch.nn.Module, inputs: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return energy, forces and virial as LAMMPS's pair style computes them.

    Args:
        network: what ``torch.jit.load`` gave.
        inputs: from `lammps_inputs`.

    Returns:
        Energy in eV, forces in eV/Å, ``[atoms, 3]``, sum over edges of vectors times the energy's
        derivatives by them in eV, ``[3, 3]``.
    """
    vectors = inputs["edge_vec"].clone().requires_grad_(True)
    output = network({**inputs, "edge_vec": vectors})
    energy = output["inferred_total_energy"].squeeze()
    (slopes,) = torch.autograd.grad([energy], [vectors])
    first, second = inputs["edge_index"]
    forces = torch.zeros(len(inputs["x"]), 3, dtype=slopes.dtype)
    forces.index_add_(0, first, slopes).index_add_(0, second, -slopes)
    return energy.detach(), forces, vectors.detach().T @ slopes


def make_network(model: Model) -> Network:
    """Return the module that is written, in the model's type, on the CPU.

    Raises:
        UserError: the network has parts that this file cannot hold.
    """
    network = checkpoint.build(copy.deepcopy(model.native)).to(torch.float64)
    network.load_state_dict(checkpoint.own_state(model.network.state_dict()))
    modules = network._modules
    modal = None
    if model.modal is not None:
        modal = (model.native[KEY.MODAL_MAP] or {})[model.modal]
    with building(torch.float64), torch.no_grad():
        return _Writer(modules, model, modal).write()


def _types(config: Mapping[str, Any]) -> dict[int, int]:
    """Return atomic number -> index in the network, in the order of the indices."""
    kinds = {int(z): int(kind) for z, kind in config[KEY.TYPE_MAP].items() if int(z) > 0}
    return dict(sorted(kinds.items(), key=lambda item: item[1]))


class _Writer:
    """Reads sevenn's modules, in float64, into those of this file."""

    def __init__(self, modules: Mapping[str, NativeModule], model: Model, modal: int | None):
        self.modules, self.model, self.modal = modules, model, modal
        self.layers = 0
        while f"{self.layers}_equivariant_gate" in modules:
            self.layers += 1
        self.types = len(_types(model.native))
        self.couplings: dict[Coupling, int] = {}

    def write(self) -> Network:
        edges = self.modules[EDGES]
        lmax = edges.spherical.irreps_out.lmax
        table = self._tabulate()
        embedded = self._affine(EMBEDDING, torch.eye(self.types))
        embedding = embedded[0] + embedded[1]
        layers = [self._layer(t, table) for t in range(self.layers)]
        maps, constants, kinds, factors = self._readout()
        scale, shift = self._rescale()
        couplings = [each.symbols((lmax + 1) ** 2) for each in self.couplings]
        widest = max(
            each.tables[slot].shape[1]
            * each.tables[slot].shape[0]
            // each.rows
            * (2 * each.orders[slot] + 1)
            for each in (layer.convolution for layer in layers)
            for slot in range(len(each.orders))
        )
        most_paths = max(
            len(rows) // layer.convolution.rows
            for layer in layers
            for rows in layer.convolution.tables
        )
        return Network(
            Harmonics(self._cast(_harmonics(edges.spherical, lmax)), lmax),
            bool(edges.spherical.sph.normalize),
            Edges(
                [each.inner for each in self.couplings],
                [each.outer for each in self.couplings],
                self._cast(couplings),
                most_paths,
                len(table.rows[0]),
                list(table.starts),
                list(table.spacings),
                list(table.firsts),
                self._cast([torch.tensor(HERMITE)])[0],
                max(_FEWEST_AT_ONCE, _AT_ONCE // widest),
            ),
            self._cast([embedding])[0],
            layers,
            self._cast(maps),
            self._cast([constants])[0],
            kinds,
            factors,
            *self._cast([scale, shift]),
        )

    def _cast(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [each.detach().to(self.model.dtype).contiguous() for each in tensors]

    def _tabulate(self) -> RadialTable:
        edges = self.modules[EDGES]
        networks = [self.modules[f"{t}_convolution"].weight_nn for t in range(self.layers)]
        steps = [list(network) for network in networks]

        def hidden(radii: Tensor) -> list[Tensor]:
            inputs = edges.basis_function(radii) * edges.cutoff_function(radii)[:, None]
            return [torch.nn.Sequential(*each[:-1])(inputs) for each in steps]

        maps = [each[-1](torch.eye(len(each[-1].weight))) for each in steps]
        kinks = [edges.cutoff_function.r_on] if hasattr(edges.cutoff_function, "r_on") else []
        return tabulate(hidden, maps, self.model.cutoff, kinks)

    def _affine(self, name: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what one of sevenn's linear maps makes of rows, and what it makes of nothing."""
        module = self.modules[name]
        if isinstance(getattr(module, "num_modalities", 0), int) and module.num_modalities > 1:
            given = torch.zeros(module.num_modalities)
            given[self.modal] = 1
            constant = module.linear(torch.cat([torch.zeros(rows.shape[1]), given])[None])
            made = module.linear(torch.cat([rows, given.expand(len(rows), -1)], dim=1))
            return made - constant, constant[0]
        return module.linear(rows), torch.zeros(module.irreps_out.dim)

    def _layer(self, t: int, table: RadialTable) -> Layer:
        modules = self.modules
        product = modules[f"{t}_convolution"].convolution
        features = Irreps(product.irreps_in1)
        gate = modules[f"{t}_equivariant_gate"].gate
        entering, entering_constant = self._affine(
            f"{t}_self_interaction_1", _rows(features, _channels(features))
        )
        starts, places = _starts(features), _orders(features)
        convolution, terms = self._convolution(t, product, table)
        slot_places, enter, enter_constants = [], [], []
        channels = _channels(features)
        for start, (mul, irrep) in zip(starts, features, strict=True):
            columns = start + irrep.dim * torch.arange(mul)
            of_order = [k for k, (order, _) in enumerate(channels) if order == irrep.l]
            slot_places.append(places.index(irrep.l))
            enter.append(entering[of_order][:, columns])
            constant = entering_constant[columns]
            enter_constants.append(constant if irrep.l == 0 and constant.any() else constant[:0])
        # What is gated: its channels in the order in which the next layer has them.
        scalars, gates, gated = gate.sc(torch.arange(gate.irreps_in.dim, dtype=torch.float64)[None])
        out: dict[int, Tensor] = {0: torch.cat([scalars[0], gates[0]]).long()}
        for start, (mul, irrep) in zip(_starts(gate.irreps_gated), gate.irreps_gated, strict=True):
            firsts = gated[0, start + irrep.dim * torch.arange(mul)].long()
            out[irrep.l] = torch.cat([out[irrep.l], firsts]) if irrep.l in out else firsts
        orders = sorted(out)
        own_places, own = [], []
        for order in orders:
            same = [each for each in channels if each[0] == order]
            own_places.append(places.index(order) if same else -1)
            own.append(
                self._connection(t, _rows(features, same), out[order])
                if same
                else torch.zeros(1, 0, len(out[order]))
            )
        block_places, leave = [], []
        constants = torch.zeros(len(out[0]))
        for order in orders:
            block = (
                convolution.block_orders.index(order) if order in convolution.block_orders else -1
            )
            block_places.append(block)
            rows = torch.zeros(0, len(out[order]))
            if block >= 0:
                firsts = torch.cat(
                    [_firsts(product, term) for term in terms if term.coupling.outer == order]
                )
                inputs = torch.zeros(len(firsts), product.irreps_out.dim)
                inputs[torch.arange(len(firsts)), firsts] = 1
                made, constant = self._affine(f"{t}_self_interaction_2", inputs)
                rows = made[:, out[order]]
                if order == 0:
                    constants = constant[out[0]]
            leave.append(rows)
        widths, kinds, factors = _activations([gate.act_scalars, gate.act_gates])
        return Layer(
            convolution,
            slot_places,
            self._cast(enter),
            self._cast(enter_constants),
            orders,
            own_places,
            self._cast(own),
            block_places,
            self._cast(leave),
            self._cast([constants])[0],
            widths,
            kinds,
            factors,
            int(gate.irreps_scalars.dim),
        )

    def _connection(self, t: int, rows: Tensor, columns: Tensor) -> Tensor:
        """Return a layer's self-connection, ``[types or 1, rows, columns]``."""
        module = self.modules[f"{t}_self_connection_intro"]
        if hasattr(module, "linear"):
            return module.linear(rows)[:, columns][None]
        made = []
        for kind in torch.eye(self.types):
            made.append(module.fc_tensor_product(rows, kind.expand(len(rows), -1))[:, columns])
        return torch.stack(made)

    def _convolution(
        self, t: int, product: NativeModule, table: RadialTable
    ) -> tuple[Convolution, list[Term]]:
        paths = product.instructions
        slots = read_slots(product)
        widths = [product.irreps_in1[path.i_in1].mul for path in paths]
        weights = torch.split(table.rows[t], widths, dim=1)
        denominator = self.modules[f"{t}_convolution"].denominator.reshape(())
        tables = []
        for slot in slots:
            rows = [weights[k] * paths[k].path_weight / denominator for k in slot.paths]
            tables.append(torch.cat(rows) if rows else torch.zeros(0, slot.channels))
        terms = [term for slot in slots for term in slot.terms]
        block_orders = sorted({term.coupling.outer for term in terms})
        filled = dict.fromkeys(block_orders, 0)
        columns = []
        for term in terms:
            columns.append(filled[term.coupling.outer])
            filled[term.coupling.outer] += sum(widths[k] for k in term.paths)
        convolution = Convolution(
            [slot.order for slot in slots],
            [slot.channels for slot in slots],
            self._cast(tables),
            len(table.rows[t]),
            [len(slot.terms) for slot in slots],
            [self.couplings.setdefault(term.coupling, len(self.couplings)) for term in terms],
            [len(term.paths) for term in terms],
            [block_orders.index(term.coupling.outer) for term in terms],
            columns,
            block_orders,
            [filled[order] for order in block_orders],
        )
        return convolution, terms

    def _readout(self) -> tuple[list[Tensor], Tensor, list[int], list[float]]:
        if MLP_READOUT in self.modules:
            maps, kinds, factors = [], [], []
            for step in self.modules[MLP_READOUT].fcn:
                kind, factor = _activation(step.act)
                weight = step.weight / (step.h_in * step.var_in / step.var_out) ** 0.5
                maps.append(weight * (step.var_out**0.5 if step.act is not None else 1))
                kinds.append(kind)
                factors.append(factor)
            return maps, torch.zeros(maps[0].shape[1]), kinds, factors
        width = self.modules[HIDDEN].irreps_out.dim
        features = self.modules[f"{self.layers - 1}_equivariant_gate"].gate.irreps_out.dim
        hidden, constant = self._affine(HIDDEN, torch.eye(features))
        energy, _ = self._affine(ENERGY, torch.eye(width))
        return [hidden @ energy], constant @ energy, [0], [1.0]

    def _rescale(self) -> tuple[Tensor, Tensor]:
        module = self.modules[RESCALE]
        found = []
        for values, by_modal in (
            (module.scale, getattr(module, "use_modal_wise_scale", False)),
            (module.shift, getattr(module, "use_modal_wise_shift", False)),
        ):
            found.append((values[self.modal] if by_modal else values).expand(self.types))
        return found[0], found[1]


def _firsts(product: TensorProduct, term: Term) -> Tensor:
    """Return the first component of each channel of a term in e3nn's messages, path by path."""
    target = Irreps(product.irreps_out)
    starts = _starts(target)
    outs = [product.instructions[k].i_out for k in term.paths]
    return torch.cat([starts[i] + target[i].ir.dim * torch.arange(target[i].mul) for i in outs])


def _harmonics(spherical: NativeModule, lmax: int) -> list[Tensor]:
    """Return what `Harmonics` needs to give what e3nn gives."""
    direction = torch.nn.functional.normalize(torch.tensor([[0.3, -0.5, 0.7]]), dim=1)
    before = one = spherical_harmonics(1, direction, False, "component")
    couplings = []
    for order in range(2, lmax + 1):
        symbol = wigner_3j(1, order - 1, order, dtype=torch.float64).flatten(0, 1)
        after = spherical_harmonics(order, direction, False, "component")
        pairs = (one[:, :, None] * before[:, None, :]).flatten(1) @ symbol
        couplings.append(symbol * (after * pairs).sum() / pairs.square().sum())
        before = after
    return couplings


def _starts(irreps: Irreps) -> list[int]:
    return [each.start for each in irreps.slices()]


def _orders(irreps: Irreps) -> list[int]:
    """Return the orders l among irreps, ascending."""
    return sorted({irrep.l for _, irrep in irreps})


def _channels(irreps: Irreps) -> list[tuple[int, int]]:
    """Return order l and first component of each channel."""
    return [
        (irrep.l, start + irrep.dim * channel)
        for start, (mul, irrep) in zip(_starts(irreps), irreps, strict=True)
        for channel in range(mul)
    ]


def _rows(irreps: Irreps, channels: Sequence[tuple[int, int]]) -> Tensor:
    """Return features of one channel each, in its first component, ``[channels, dim]``."""
    rows = torch.zeros(len(channels), irreps.dim)
    for row, (_, first) in enumerate(channels):
        rows[row, first] = 1
    return rows


def _activations(
    modules: Sequence[NativeModule],
) -> tuple[list[int], list[int], list[float]]:
    """Return widths, numbers and factors of activations, equal neighbours joined."""
    widths: list[int] = []
    found: list[tuple[int, float]] = []
    for module in modules:
        for (mul, _), function in zip(module.irreps_in, module.acts, strict=True):
            each = _activation(function)
            if found and found[-1] == each:
                widths[-1] += mul
            else:
                widths.append(mul)
                found.append(each)
    return widths, [kind for kind, _ in found], [factor for _, factor in found]


def _activation(function: Callable[[Tensor], Tensor] | None) -> tuple[int, float]:
    if function is None:
        return 0, 1.0
    factor = 1.0
    if isinstance(function, normalize2mom):
        factor = 1.0 if function._is_id else float(function.cst)
        function = function.f
    kind = _ACTIVATIONS.get(function)
    if kind is None:
        raise UserError(
            f"torchscript: the network has an activation that irrepress cannot write, {function}; "
            "use the file that `sevenn get_model` makes"
        )
    return kind, factor
