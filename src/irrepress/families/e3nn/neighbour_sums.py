"""Sums over neighbours in chunks, for training on CPUs.

A convolution weights each neighbour's features by radial functions, multiplies them by spherical
harmonics and adds them up. Written edge by edge, its intermediate results are far larger than its
inputs and outputs, and a training on forces keeps them three times over. Here edges go through in
chunks of atoms (`irrepress.families.e3nn.scripted.arrange`), derivatives are written out chunk by
chunk, and nothing of an edge's size but the hidden radial features outlives one.

A sum has two forms: for values, with derivatives by features, radial features and harmonics; and,
under forward-mode differentiation, for values and their tangents, with derivatives by features,
radial features and radial maps. See `irrepress.families.generic.learning` for what both are for.
"""

import weakref
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import torch
import torch.autograd.forward_ad as forward_mode
from e3nn.o3 import Irreps, TensorProduct
from torch import Tensor

from irrepress.families.e3nn.fast_products import ChannelwiseProduct
from irrepress.families.e3nn.scripted import Part, arrange, rows_of_sources
from irrepress.families.e3nn.terms import Coupling, Slot, read_slots

# Numbers that the largest intermediate of a chunk holds: what stays in a processor's cache. Fewer
# edges than these cost more in calls than they save in memory.
_AT_ONCE = 800_000
_FEWEST_AT_ONCE = 350


# Of each chunk and slot.
Weights = list[list[Tensor]]


@cache
def _symbols(coupling: Coupling, harmonics: int, dtype: torch.dtype) -> Tensor:
    return coupling.symbols(harmonics).to(dtype)


class ChunkedEdges:
    """The edges of a batch in chunks, with harmonics that are made for it.

    Args:
        atoms: number of atoms.
        centres: atom that receives each edge's message, ``[edges]``.
        sources: the neighbour that sends it, ``[edges]``.
        widest: numbers that the widest sum holds for an edge, see `NeighbourSum.width`.
    """

    def __init__(self, atoms: int, centres: Tensor, sources: Tensor, widest: int):
        most = max(_FEWEST_AT_ONCE, _AT_ONCE // widest)
        self.atoms, self.edges = atoms, len(centres)
        self.order, self.rank, parts = arrange(atoms, centres, most)
        self.parts: list[Part] = [part for part in parts if part.neighbours > 0]
        sent = torch.cat([self.rank[sources], self.rank.new_zeros(1)])
        self._sources = [sent[part.edges] for part in self.parts]
        self._rows: dict[int, list[Tensor]] = {}
        # The harmonics that were asked for last, and what was made of them.
        self._filters: tuple[Tensor, Filters, Tensor] | None = None
        # What has been found of values, which their tangents need not find again.
        self.matrices: dict[Coupling, list[Tensor]] = {}
        self.found: dict[NeighbourSum, tuple[Tensor, Weights]] = {}

    def rows(self, order: int) -> list[Tensor]:
        """Return, for each chunk, rows of neighbours in features of an order."""
        if order not in self._rows:
            pairs = zip(self._sources, self.parts, strict=True)
            self._rows[order] = [rows_of_sources(source, part, order) for source, part in pairs]
        return self._rows[order]

    def filters(self, harmonics: Tensor) -> tuple["Filters", Tensor]:
        """Return what is made of harmonics, which all layers share, and what stands for them.

        The latter is an input of sums, which give it a derivative of zero: once all of them have
        added theirs up, autograd asks it for the derivatives by the harmonics.
        """
        if self._filters is None or self._filters[0] is not harmonics:
            filters = Filters(self, harmonics)
            values, _ = forward_mode.unpack_dual(harmonics)
            self._filters = harmonics, filters, _Collect.apply(values, filters)
        return self._filters[1:]

    def forget(self) -> None:
        """Let go of harmonics: they hold an autograd graph, which would hold these edges."""
        self._filters = None

    def chunks(self, values: Tensor) -> list[Tensor]:
        """Return what edges have in chunks, zero where an edge stands for none."""
        padded = torch.cat([values, torch.zeros_like(values[:1])])
        return [padded.index_select(0, part.edges) for part in self.parts]


class Filters:
    """Spherical harmonics of edges, contracted with the 3j symbols of terms.

    Args:
        near: the edges.
        harmonics: ``[edges, harmonics]``, with tangents or without.
    """

    def __init__(self, near: ChunkedEdges, harmonics: Tensor):
        self.near = near
        values, tangents = forward_mode.unpack_dual(harmonics)
        self._harmonics = values.detach()
        # Harmonics of order 0 alone are constant.
        self._tangents = torch.zeros_like(values) if tangents is None else tangents.detach()
        self._slopes: dict[Coupling, list[Tensor]] = {}
        self.gradients: dict[Coupling, list[Tensor]] = {}

    def matrices(self, coupling: Coupling) -> list[Tensor]:
        """Return, for each chunk, ``[paths * atoms, 2 l_out + 1, (2 l_in + 1) * neighbours]``."""
        made = self.near.matrices  # with and without tangents, the values are the same
        if coupling not in made:
            made[coupling] = self._couple(coupling, self._turned)
        return made[coupling]

    def slopes(self, coupling: Coupling) -> list[Tensor]:
        """Return the tangents of `matrices`."""
        if coupling not in self._slopes:
            self._slopes[coupling] = self._couple(coupling, self._turned_tangents)
        return self._slopes[coupling]

    def gradient(self, coupling: Coupling) -> list[Tensor]:
        """Return where derivatives by `matrices` are added up."""
        if coupling not in self.gradients:
            self.gradients[coupling] = [torch.zeros_like(m) for m in self.matrices(coupling)]
        return self.gradients[coupling]

    def collect(self) -> Tensor:
        """Return the derivatives by the harmonics, ``[edges, harmonics]``."""
        harmonics = self._harmonics.shape[1]
        total = self._harmonics.new_zeros(self.near.edges + 1, harmonics)
        for c, part in enumerate(self.near.parts):
            many, n = part.last - part.first, part.neighbours
            found = total.new_zeros(many, harmonics, n)
            for coupling, gradients in self.gradients.items():
                symbol = self._symbol(coupling)
                gradient = gradients[c].view(len(symbol), many, -1, n)
                found += (symbol.transpose(1, 2).unsqueeze(1) @ gradient).sum(0)
            total[part.edges] = found.transpose(1, 2).reshape(many * n, harmonics)
        return total[:-1]

    # Each is made once, and only where it is needed: one in each pass.
    @cached_property
    def _turned(self) -> list[Tensor]:
        return self._turn(self._harmonics)

    @cached_property
    def _turned_tangents(self) -> list[Tensor]:
        return self._turn(self._tangents)

    def _turn(self, values: Tensor) -> list[Tensor]:
        """Return, for each chunk, ``[1, atoms, harmonics, neighbours]``."""
        pairs = zip(self.near.chunks(values), self.near.parts, strict=True)
        return [
            each.view(1, part.last - part.first, part.neighbours, -1).transpose(2, 3).contiguous()
            for each, part in pairs
        ]

    def _couple(self, coupling: Coupling, filters: list[Tensor]) -> list[Tensor]:
        symbol = self._symbol(coupling).unsqueeze(1)
        components = 2 * coupling.outer + 1, 2 * coupling.inner + 1
        return [
            (symbol @ each).view(-1, components[0], components[1] * each.shape[-1])
            for each in filters
        ]

    def _symbol(self, coupling: Coupling) -> Tensor:
        return _symbols(coupling, self._harmonics.shape[1], self._harmonics.dtype)


class _Collect(torch.autograd.Function):
    """Stands for harmonics among the inputs of sums."""

    @staticmethod
    def forward(ctx: Any, harmonics: Tensor, filters: Filters) -> Tensor:
        ctx.filters = filters
        return harmonics.new_zeros(())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.filters.collect(), None


class NeighbourSum:
    """Computes what a tensor product of e3nn makes of neighbours, summed over them.

    Args:
        product: with a weight per path, channel and edge, as convolutions have it; see `can`.
    """

    def __init__(self, product: TensorProduct):
        self.slots: Sequence[Slot] = read_slots(product)
        self.out = product.irreps_out.dim
        paths, target = product.instructions, Irreps(product.irreps_out)
        widths = [product.irreps_in1[path.i_in1].mul for path in paths]
        starts = [sum(widths[:k]) for k in range(len(widths))]
        used = [k for slot in self.slots for k in slot.paths]
        # Radial weights slot by slot and path by path, with the factors of the paths.
        self._columns = torch.cat([starts[k] + torch.arange(widths[k]) for k in used])
        self._factors = torch.cat(
            [torch.full((widths[k],), paths[k].path_weight, dtype=torch.float64) for k in used]
        )
        self.sizes = [len(slot.paths) * slot.channels for slot in self.slots]
        columns = target.slices()
        self._places = {k: columns[path.i_out] for k, path in enumerate(paths)}
        self._terms = [(slot, term) for slot in self.slots for term in slot.terms]

    @staticmethod
    def can(product: TensorProduct) -> bool:
        """Say whether a product is one that this class computes."""
        orders = [irrep.l for _, irrep in product.irreps_in2]
        in_order = orders == list(range(len(orders)))
        return ChannelwiseProduct.can(product) and in_order and len(product.instructions) > 0

    @cached_property
    def width(self) -> int:
        """Numbers that the widest intermediate holds for an edge."""
        return max(len(s.paths) * (2 * s.order + 1) * s.channels for s in self.slots)

    def __call__(
        self, near: ChunkedEdges, features: Tensor, harmonics: Tensor, hidden: Tensor, maps: Tensor
    ) -> Tensor:
        """Return the sums of messages; under forward-mode differentiation, with tangents.

        Args:
            near: the edges.
            features: of atoms, ``[atoms, irreps_in1.dim]``.
            harmonics: ``[edges, irreps_in2.dim]``.
            hidden: radial features of edges, ``[edges, hidden]``.
            maps: what makes radial weights of these, ``[hidden, weight_numel]``; without tangents.

        Returns:
            ``[atoms, irreps_out.dim]``.
        """
        maps = maps.index_select(1, self._columns) * self._factors.to(maps)
        hidden, hidden_tangents = forward_mode.unpack_dual(hidden)
        filters, token = near.filters(harmonics)
        if hidden_tangents is None:
            weights = self.weights(hidden, maps, near)
            found = _Values.apply(features, hidden, maps, token, self, near, filters, weights)
            near.found[self] = found.detach(), weights
            return found
        features, tangents = forward_mode.unpack_dual(features)
        inputs = (features, tangents, hidden, hidden_tangents, maps)
        return forward_mode.make_dual(*_Duals.apply(*inputs, self, near, filters))

    @torch.no_grad()
    def weights(self, hidden: Tensor, maps: Tensor, near: ChunkedEdges) -> Weights:
        """Return radial weights of paths, for each chunk and slot.

        They are ``[paths, atoms, 1, neighbours, channels]``.

        Args:
            hidden: radial features, ``[edges, hidden]``.
            maps: in the order of slots and their paths.
            near: the edges.
        """
        result = []
        for rows, part in zip(near.chunks(hidden), near.parts, strict=True):
            found = (rows @ maps).split(self.sizes, dim=1)
            result.append([self.by_path(s, part, each) for s, each in enumerate(found)])
        return result

    def by_path(self, s: int, part: Part, weights: Tensor) -> Tensor:
        """Return radial weights of a slot from those of edges, ``[edges, paths * channels]``."""
        slot = self.slots[s]
        shape = (part.last - part.first, part.neighbours, len(slot.paths), slot.channels)
        apart = weights.unflatten(1, shape[2:]).unflatten(0, shape[:2])
        return apart.permute(2, 0, 1, 3).unsqueeze(2)

    def enter(self, features: Tensor, near: ChunkedEdges) -> list[Tensor]:
        """Return features for each slot, with atoms in the order of chunks.

        They are ``[atoms * (2 l + 1), channels]``.
        """
        features = features.index_select(0, near.order)
        found = []
        for slot in self.slots:
            components = 2 * slot.order + 1
            part = features[:, slot.start : slot.start + slot.channels * components]
            part = part.unflatten(1, (slot.channels, components)).transpose(1, 2)
            found.append(part.reshape(-1, slot.channels))
        return found

    def leave(self, parts: Sequence[Tensor], near: ChunkedEdges) -> Tensor:
        """Return features from what `enter` gives of them."""
        found = [
            part.view(near.atoms, -1, slot.channels).transpose(1, 2).flatten(1)
            for part, slot in zip(parts, self.slots, strict=True)
        ]
        return torch.cat(found, dim=1).index_select(0, near.rank)

    def blocks(self, near: ChunkedEdges, like: Tensor) -> list[Tensor]:
        """Return room for the messages of each term, ``[paths, atoms, 2 l_out + 1, channels]``."""
        return [
            like.new_zeros(len(term.paths), near.atoms, 2 * term.coupling.outer + 1, slot.channels)
            for slot, term in self._terms
        ]

    def messages(self, blocks: Sequence[Tensor], near: ChunkedEdges) -> Tensor:
        """Return messages as e3nn orders them, ``[atoms, irreps_out.dim]``."""
        found = blocks[0].new_empty(near.atoms, self.out)
        for block, (_, term) in zip(blocks, self._terms, strict=True):
            for path, part in zip(term.paths, block, strict=True):
                found[:, self._places[path]] = part.transpose(1, 2).flatten(1)
        return found.index_select(0, near.rank)

    def terms(self, messages: Tensor, near: ChunkedEdges) -> list[Tensor]:
        """Return what `messages` makes them of."""
        messages = messages.index_select(0, near.order)
        found = []
        for slot, term in self._terms:
            parts = [
                messages[:, self._places[path]].unflatten(1, (slot.channels, -1)).transpose(1, 2)
                for path in term.paths
            ]
            found.append(torch.stack(parts))
        return found


# Made once per module: the 3j symbols take longer than a small sum.
_MADE: "weakref.WeakKeyDictionary[TensorProduct, NeighbourSum | None]"
_MADE = weakref.WeakKeyDictionary()


def sum_of(product: TensorProduct) -> NeighbourSum | None:
    """Return the sum that computes what a product does; None: see `NeighbourSum.can`."""
    if product not in _MADE:
        _MADE[product] = NeighbourSum(product) if NeighbourSum.can(product) else None
    return _MADE[product]


class _Chunks:
    """What the passes of a sum share: memory, and ways between atoms and edges.

    Args:
        sum_: the sum.
        near: the edges.
        like: a tensor of the type and device.
    """

    def __init__(self, sum_: NeighbourSum, near: ChunkedEdges, like: Tensor):
        self.sum, self.near = sum_, near
        most = max((len(part.edges) for part in near.parts), default=0)
        self._room = [like.new_empty(most * sum_.width) for _ in range(3)]

    def gather(self, features: Sequence[Tensor], s: int, c: int) -> Tensor:
        """Return neighbours' features, ``[1, atoms, 2 l + 1, neighbours, channels]``."""
        slot, part = self.sum.slots[s], self.near.parts[c]
        rows = features[s].index_select(0, self.near.rows(slot.order)[c])
        many = part.last - part.first
        return rows.view(1, many, 2 * slot.order + 1, part.neighbours, slot.channels)

    def scatter(self, results: Sequence[Tensor], s: int, c: int, gathered: Tensor) -> None:
        """Add to features what is given for neighbours' features."""
        slot = self.sum.slots[s]
        rows = self.near.rows(slot.order)[c]
        results[s].index_add_(0, rows, gathered.reshape(-1, slot.channels))

    def room(self, which: int, s: int, c: int) -> Tensor:
        """Return memory for messages, ``[paths, atoms, 2 l + 1, neighbours, channels]``.

        It is the same for all chunks, and so stays in the cache.
        """
        slot, part = self.sum.slots[s], self.near.parts[c]
        many = part.last - part.first
        shape = (len(slot.paths), many, 2 * slot.order + 1, part.neighbours, slot.channels)
        return self._room[which][: torch.Size(shape).numel()].view(shape)


def _of_term(messages: Tensor, first: int, last: int) -> Tensor:
    """Return the messages of a term, ``[paths * atoms, (2 l + 1) * neighbours, channels]``."""
    return messages[first:last].flatten(0, 1).flatten(1, 2)


class _Values(torch.autograd.Function):
    """Sums of messages, with derivatives by features, radial features and harmonics."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        hidden: Tensor,
        maps: Tensor,
        token: Tensor,
        sum_: NeighbourSum,
        near: ChunkedEdges,
        filters: Filters,
        weights: Weights,
    ) -> Tensor:
        ctx.save_for_backward(features, hidden, maps)
        ctx.shared = sum_, near, filters, weights
        chunks = _Chunks(sum_, near, features)
        entered = sum_.enter(features, near)
        blocks = sum_.blocks(near, features)
        for c, part in enumerate(near.parts):
            block = iter(blocks)
            for s, slot in enumerate(sum_.slots):
                sent = chunks.room(0, s, c)
                torch.mul(weights[c][s], chunks.gather(entered, s, c), out=sent)
                first = 0
                for term in slot.terms:
                    last = first + len(term.paths)
                    matrices = filters.matrices(term.coupling)[c]
                    came = next(block)[:, part.first : part.last]
                    came.copy_((matrices @ _of_term(sent, first, last)).view_as(came))
                    first = last
        return sum_.messages(blocks, near)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, hidden, maps = ctx.saved_tensors
        sum_, near, filters, weights = ctx.shared
        chunks = _Chunks(sum_, near, features)
        entered = sum_.enter(features, near)
        blocks = sum_.terms(gradient, near)
        wanted = ctx.needs_input_grad[0]
        results = [torch.zeros_like(each) for each in entered]
        radial = hidden.new_zeros(near.edges + 1, hidden.shape[1])
        for c, part in enumerate(near.parts):
            block = iter(blocks)
            by_weights = hidden.new_empty(len(part.edges), maps.shape[1])
            places = by_weights.split(sum_.sizes, dim=1)
            for s, slot in enumerate(sum_.slots):
                gathered = chunks.gather(entered, s, c)
                sent, back = chunks.room(0, s, c), chunks.room(1, s, c)
                torch.mul(weights[c][s], gathered, out=sent)
                first = 0
                for term in slot.terms:
                    last = first + len(term.paths)
                    came = next(block)[:, part.first : part.last].flatten(0, 1)
                    many = _of_term(sent, first, last)
                    filters.gradient(term.coupling)[c].baddbmm_(came, many.transpose(1, 2))
                    matrices = filters.matrices(term.coupling)[c].transpose(1, 2)
                    torch.bmm(matrices, came, out=_of_term(back, first, last))
                    first = last
                if wanted:
                    torch.mul(weights[c][s], back, out=sent)
                    chunks.scatter(results, s, c, sent.sum(0))
                torch.mul(gathered, back, out=sent)
                torch.sum(sent, 2, keepdim=True, out=sum_.by_path(s, part, places[s]))
            radial[part.edges] = by_weights @ maps.t()
        by_features = sum_.leave(results, near) if wanted else None
        token = torch.zeros_like(gradient[0, 0])
        return by_features, radial[:-1], None, token, None, None, None, None


class _Duals(torch.autograd.Function):
    """Sums of messages and their tangents, with derivatives by all but the harmonics."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        tangents: Tensor | None,
        hidden: Tensor,
        hidden_tangents: Tensor,
        maps: Tensor,
        sum_: NeighbourSum,
        near: ChunkedEdges,
        filters: Filters,
    ) -> tuple[Tensor, Tensor]:
        values, weights = near.found.pop(sum_)
        changes = sum_.weights(hidden_tangents, maps, near)
        ctx.save_for_backward(features, tangents, hidden, hidden_tangents, maps)
        ctx.shared = sum_, near, filters, weights, changes
        chunks = _Chunks(sum_, near, features)
        entered = sum_.enter(features, near)
        entered_tangents = None if tangents is None else sum_.enter(tangents, near)
        blocks = sum_.blocks(near, features)
        for c, part in enumerate(near.parts):
            block = iter(blocks)
            for s, slot in enumerate(sum_.slots):
                gathered = chunks.gather(entered, s, c)
                sent, change = chunks.room(0, s, c), chunks.room(1, s, c)
                torch.mul(weights[c][s], gathered, out=sent)
                torch.mul(changes[c][s], gathered, out=change)
                if entered_tangents is not None:
                    change.addcmul_(weights[c][s], chunks.gather(entered_tangents, s, c))
                first = 0
                for term in slot.terms:
                    last = first + len(term.paths)
                    came = next(block)[:, part.first : part.last]
                    found = filters.matrices(term.coupling)[c] @ _of_term(change, first, last)
                    slopes = filters.slopes(term.coupling)[c]
                    found.baddbmm_(slopes, _of_term(sent, first, last))
                    came.copy_(found.view_as(came))
                    first = last
        return values, sum_.messages(blocks, near)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, of_tangents: Tensor) -> tuple[Tensor | None, ...]:
        features, tangents, hidden, hidden_tangents, maps = ctx.saved_tensors
        sum_, near, filters, weights, changes = ctx.shared
        chunks = _Chunks(sum_, near, features)
        entered = sum_.enter(features, near)
        entered_tangents = None if tangents is None else sum_.enter(tangents, near)
        blocks, tangent_blocks = sum_.terms(gradient, near), sum_.terms(of_tangents, near)
        results = [torch.zeros_like(each) for each in entered]
        tangent_results = [torch.zeros_like(each) for each in entered]
        by_maps = torch.zeros_like(maps)
        radial = hidden.new_zeros(2, near.edges + 1, hidden.shape[1])
        inputs = torch.cat([hidden, hidden_tangents], dim=1)
        for c, (part, rows) in enumerate(zip(near.parts, near.chunks(inputs), strict=True)):
            block, tangent_block = iter(blocks), iter(tangent_blocks)
            # Derivatives by radial weights, and by their tangents.
            by_weights = hidden.new_empty(2, len(part.edges), maps.shape[1])
            places = [each.split(sum_.sizes, dim=1) for each in by_weights]
            for s, slot in enumerate(sum_.slots):
                gathered = chunks.gather(entered, s, c)
                # Derivatives by what neighbours send, and by its tangents.
                back, change = chunks.room(0, s, c), chunks.room(1, s, c)
                product = chunks.room(2, s, c)
                first = 0
                for term in slot.terms:
                    last = first + len(term.paths)
                    came = next(block)[:, part.first : part.last].flatten(0, 1)
                    moving = next(tangent_block)[:, part.first : part.last].flatten(0, 1)
                    matrices = filters.matrices(term.coupling)[c].transpose(1, 2)
                    slopes = filters.slopes(term.coupling)[c].transpose(1, 2)
                    here = _of_term(back, first, last)
                    torch.bmm(matrices, came, out=here)
                    here.baddbmm_(slopes, moving)
                    torch.bmm(matrices, moving, out=_of_term(change, first, last))
                    first = last
                torch.mul(gathered, change, out=product)
                torch.sum(product, 2, keepdim=True, out=sum_.by_path(s, part, places[1][s]))
                torch.mul(gathered, back, out=product)
                if entered_tangents is not None:
                    product.addcmul_(chunks.gather(entered_tangents, s, c), change)
                torch.sum(product, 2, keepdim=True, out=sum_.by_path(s, part, places[0][s]))
                torch.mul(weights[c][s], back, out=product)
                product.addcmul_(changes[c][s], change)
                chunks.scatter(results, s, c, product.sum(0))
                if entered_tangents is not None:
                    torch.mul(weights[c][s], change, out=product)
                    chunks.scatter(tangent_results, s, c, product.sum(0))
            radial[:, part.edges] = by_weights @ maps.t()
            pair = rows.unflatten(1, (2, -1)).transpose(0, 1)
            by_maps.addmm_(pair.flatten(0, 1).t(), by_weights.flatten(0, 1))
        return (
            sum_.leave(results, near),
            None if tangents is None else sum_.leave(tangent_results, near),
            radial[0, :-1],
            radial[1, :-1],
            by_maps,
            None,
            None,
            None,
        )
