"""Convolutions over neighbours whose forces are written out, in terms that TorchScript compiles.

A message is a channel-wise tensor product of a neighbour's features and the spherical harmonics of
the edge, weighted by radial functions, and an atom adds up those of its neighbours. Here atoms go
through in chunks of about equal numbers of neighbours, small enough for a processor's cache:

- weights come from a table (`irrepress.families.e3nn.radial_table`), all paths at once;
- features times weights are one elementwise product for each irrep of the features;
- the 3j symbols, contracted with the harmonics beforehand, and the sum over neighbours are one
  product of matrices, for all paths between two orders at once.

Derivatives are written out in the same steps, so that no slice is filled with zeros, nothing of an
edge's size outlives a chunk, and features meet autograd nowhere.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from irrepress.families.e3nn.radial_table import locate


class Chunk(NamedTuple):
    """Atoms that go through together, and their edges, as many for each: some stand for none.

    Attributes:
        first: the first of the atoms.
        last: the one after the last.
        neighbours: number of edges of each.
        gathers: for each order l, rows of the neighbours' components in features of all atoms,
            ``[atoms * (2 l + 1) * neighbours]``.
        indices: rows of the radial table, for each path and edge, flat.
        weights: of these rows in the values, flat.
        slopes: of these rows in the slopes, flat.
        matrices: for each group of paths, 3j symbols times harmonics, ``[paths * atoms, 2 l_out +
            1, (2 l_in + 1) * neighbours]``.
        gradients: of the energy by these, which are added up.
        radial: derivative of the energy by the lengths, which is added up, ``[atoms,
            neighbours]``.
    """

    first: int
    last: int
    neighbours: int
    gathers: list[Tensor]
    indices: Tensor
    weights: Tensor
    slopes: Tensor
    matrices: list[Tensor]
    gradients: list[Tensor]
    radial: Tensor


class Neighbourhoods(NamedTuple):
    """The edges of a structure in chunks.

    Attributes:
        order: atoms by number of neighbours, ``[atoms]``.
        rank: place of each atom in this order, ``[atoms]``.
        slots: place of each edge among those of all chunks, ``[edges]``.
        chunks: the chunks, with atoms in this order.
    """

    order: Tensor
    rank: Tensor
    slots: Tensor
    chunks: list[Chunk]


def split(counts: list[int], most: int) -> list[int]:
    """Return where chunks of atoms end, given ascending numbers of neighbours.

    Args:
        counts: number of neighbours of each atom, ascending.
        most: edges of a chunk, those that stand for none included; one atom may have more.
    """
    ends: list[int] = []
    first = 0
    for atom in range(len(counts)):
        if atom > first and (atom + 1 - first) * counts[atom] > most:
            ends.append(atom)
            first = atom
    if len(counts) > 0:
        ends.append(len(counts))
    return ends


class Part(NamedTuple):
    """Which atoms and edges a chunk holds.

    Attributes:
        first: the first of the atoms.
        last: the one after the last.
        neighbours: number of edges of each.
        edges: the edges, atom by atom; the number of all edges stands for none, ``[atoms *
            neighbours]``.
    """

    first: int
    last: int
    neighbours: int
    edges: Tensor


def arrange(atoms: int, centres: Tensor, most: int) -> tuple[Tensor, Tensor, list[Part]]:
    """Return atoms by number of neighbours, the place of each in this order, and the chunks.

    Args:
        atoms: number of atoms.
        centres: atom that receives each edge's message, ``[edges]``.
        most: edges of a chunk, see `split`.
    """
    counts = torch.bincount(centres, minlength=atoms)
    order = torch.argsort(counts)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(atoms, device=centres.device)
    none = centres.size(0)
    edges = torch.cat([torch.argsort(rank[centres]), torch.full_like(order[:1], none)])
    counts = counts[order]
    before = counts.cumsum(0) - counts
    numbers: list[int] = counts.tolist()
    parts: list[Part] = []
    first = 0
    for last in split(numbers, most):
        n = numbers[last - 1]
        steps = torch.arange(n, device=centres.device)
        here = steps < counts[first:last].unsqueeze(1)
        chosen = torch.where(here, before[first:last].unsqueeze(1) + steps, none)
        parts.append(Part(first, last, n, edges[chosen].flatten()))
        first = last
    return order, rank, parts


def rows_of_sources(sources: Tensor, part: Part, order: int) -> Tensor:
    """Return where the components of an irrep stand that neighbours send.

    Args:
        sources: the neighbour of each edge of the chunk, ``[atoms * neighbours]``.
        part: the chunk.
        order: l.

    Returns:
        ``[atoms * (2 l + 1) * neighbours]``, for features ``[atoms * (2 l + 1), channels]``.
    """
    components = torch.arange(2 * order + 1, device=sources.device).view(1, -1, 1)
    source = sources.view(part.last - part.first, 1, part.neighbours)
    return (source * (2 * order + 1) + components).flatten()


class Harmonics(torch.nn.Module):
    """Real spherical harmonics as e3nn normalizes them by component, orders 0 to lmax.

    Args:
        couplings: for each order from 2 upwards, ``[3 * (2 l - 1), 2 l + 1]``: makes it of order 1
            and the one before.
        lmax: the highest order.
    """

    couplings: list[Tensor]

    def __init__(self, couplings: list[Tensor], lmax: int):
        super().__init__()
        self.couplings = couplings
        self.lmax = lmax

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the harmonics of vectors, ``[edges, (lmax + 1)^2]``."""
        parts = [torch.ones_like(vectors[:, :1])]
        if self.lmax > 0:
            one = vectors * 1.7320508075688772
            parts.append(one)
            for coupling in self.couplings:
                pairs = one.unsqueeze(2) * parts[-1].unsqueeze(1)
                parts.append(pairs.flatten(1) @ coupling)
        return torch.cat(parts, dim=1)


class Edges(torch.nn.Module):
    """Brings edges into chunks and what chunks found back to edges.

    Args:
        inner: for each group of paths, order of the features.
        outer: for each group of paths, order of the messages.
        couplings: for each group of paths, 3j symbols, ``[paths, (2 l_out + 1) * (2 l_in + 1),
            harmonics]``.
        most_paths: of one irrep of the features, in any layer.
        rows: of the radial table of one path.
        starts: see `RadialTable`.
        spacings: see `RadialTable`.
        firsts: see `RadialTable`.
        hermite: weights of rows for powers of the place, ``[6, 6]``.
        at_once: edges of a chunk, on a CPU.
    """

    inner: list[int]
    outer: list[int]
    couplings: list[Tensor]
    starts: list[float]
    spacings: list[float]
    firsts: list[int]

    def __init__(
        self,
        inner: list[int],
        outer: list[int],
        couplings: list[Tensor],
        most_paths: int,
        rows: int,
        starts: list[float],
        spacings: list[float],
        firsts: list[int],
        hermite: Tensor,
        at_once: int,
    ):
        super().__init__()
        self.inner, self.outer, self.couplings = inner, outer, couplings
        self.orders = max(inner) + 1
        self.most_paths, self.rows, self.at_once = most_paths, rows, at_once
        self.starts, self.spacings, self.firsts = starts, spacings, firsts
        self.hermite = hermite

    def forward(
        self, atoms: int, centres: Tensor, sources: Tensor, lengths: Tensor, harmonics: Tensor
    ) -> Neighbourhoods:
        """Return the edges in chunks.

        Args:
            atoms: number of atoms.
            centres: atom that receives each edge's message, ``[edges]``.
            sources: the neighbour that sends it, ``[edges]``.
            lengths: in Å, ``[edges]``.
            harmonics: ``[edges, harmonics]``.
        """
        device = lengths.device
        edges = lengths.size(0)
        order, rank, parts = arrange(atoms, centres, edges + 1 if lengths.is_cuda else self.at_once)
        # The edge that stands for none has weights of zero.
        indices, weights, slopes = locate(
            lengths, self.starts, self.spacings, self.firsts, self.hermite
        )
        indices = torch.cat([indices, torch.zeros_like(self.none(indices))])
        weights = torch.cat([weights, torch.zeros_like(self.none(weights))])
        slopes = torch.cat([slopes, torch.zeros_like(self.none(slopes))])
        harmonics = torch.cat([harmonics, torch.zeros_like(self.none(harmonics))])
        sources = torch.cat([rank[sources], rank.new_zeros(1)])
        paths = self.rows * torch.arange(self.most_paths, device=device).view(-1, 1, 1)
        slots = torch.zeros(edges + 1, dtype=torch.int64, device=device)
        chunks: list[Chunk] = []
        place = 0
        for part in parts:
            many, n, chosen = part.last - part.first, part.neighbours, part.edges
            slots[chosen] = torch.arange(place, place + many * n, device=device)
            place += many * n
            source = sources[chosen]
            gathers: list[Tensor] = []
            for kind in range(self.orders):
                gathers.append(rows_of_sources(source, part, kind))
            filters = (
                harmonics[chosen].view(many, n, harmonics.size(1)).transpose(1, 2).unsqueeze(0)
            )
            matrices: list[Tensor] = []
            gradients: list[Tensor] = []
            for group in range(len(self.inner)):
                coupling = self.couplings[group]
                outer, inner = 2 * self.outer[group] + 1, 2 * self.inner[group] + 1
                matrix = torch.matmul(coupling.unsqueeze(1), filters)
                matrix = matrix.view(coupling.size(0) * many, outer, inner * n)
                matrices.append(matrix)
                gradients.append(torch.zeros_like(matrix))
            shape = [self.most_paths, many * n, 6]
            chunks.append(
                Chunk(
                    part.first,
                    part.last,
                    n,
                    gathers,
                    (indices[chosen].unsqueeze(0) + paths).flatten(),
                    weights[chosen].unsqueeze(0).expand(shape).flatten(),
                    slopes[chosen].unsqueeze(0).expand(shape).flatten(),
                    matrices,
                    gradients,
                    torch.zeros(many, n, dtype=lengths.dtype, device=device),
                )
            )
        return Neighbourhoods(order, rank, slots[:edges], chunks)

    def none(self, values: Tensor) -> Tensor:
        """Return room for the edge that stands for none."""
        return torch.empty(1, values.size(1), dtype=values.dtype, device=values.device)

    @torch.jit.export
    def collect(self, near: Neighbourhoods, harmonics: Tensor) -> tuple[Tensor, Tensor]:
        """Return derivatives of the energy by the lengths and the harmonics of edges.

        Args:
            near: what has gone through all layers.
            harmonics: ``[edges, harmonics]``.
        """
        lengths: list[Tensor] = [harmonics.new_zeros(0)]
        filters: list[Tensor] = [harmonics.new_zeros(0, harmonics.size(1))]
        for chunk in near.chunks:
            many, n = chunk.last - chunk.first, chunk.neighbours
            total = torch.zeros(
                many, harmonics.size(1), n, dtype=harmonics.dtype, device=harmonics.device
            )
            for group in range(len(self.inner)):
                coupling = self.couplings[group]
                gradient = chunk.gradients[group].view(coupling.size(0), many, coupling.size(1), n)
                total += torch.matmul(coupling.transpose(1, 2).unsqueeze(1), gradient).sum(0)
            filters.append(total.transpose(1, 2).reshape(many * n, harmonics.size(1)))
            lengths.append(chunk.radial.flatten())
        return torch.cat(lengths)[near.slots], torch.cat(filters)[near.slots]


class Convolution(torch.nn.Module):
    """One layer's sum over neighbours of weighted tensor products.

    Irreps of the features are called slots, those of the messages blocks; a term is all paths
    between a slot and an irrep of the messages.

    Args:
        orders: for each slot, l.
        channels: for each slot.
        tables: for each slot, the radial functions of its paths one below the other, with every
            constant factor in them, ``[paths * rows, channels]``.
        rows: of one path.
        terms: for each slot, number of terms.
        groups: for each term, its group of paths in `Edges`.
        paths: for each term, number of paths.
        blocks: for each term, the block that it adds to.
        columns: for each term, the first of its channels there.
        block_orders: for each block, l.
        block_channels: for each block.
    """

    orders: list[int]
    channels: list[int]
    tables: list[Tensor]
    terms: list[int]
    groups: list[int]
    paths: list[int]
    blocks: list[int]
    columns: list[int]
    block_orders: list[int]
    block_channels: list[int]

    def __init__(
        self,
        orders: list[int],
        channels: list[int],
        tables: list[Tensor],
        rows: int,
        terms: list[int],
        groups: list[int],
        paths: list[int],
        blocks: list[int],
        columns: list[int],
        block_orders: list[int],
        block_channels: list[int],
    ):
        super().__init__()
        self.orders, self.channels, self.tables, self.rows = orders, channels, tables, rows
        self.terms, self.groups, self.paths = terms, groups, paths
        self.blocks, self.columns = blocks, columns
        self.block_orders, self.block_channels = block_orders, block_channels

    def forward(self, features: list[Tensor], atoms: int, chunks: list[Chunk]) -> list[Tensor]:
        """Return the sums of messages.

        Args:
            features: for each slot, ``[atoms * (2 l + 1), channels]``.
            atoms: number of atoms.
            chunks: from `Edges`.

        Returns:
            For each block, ``[atoms, 2 l + 1, channels]``.
        """
        like = features[0]
        results: list[Tensor] = []
        for block in range(len(self.block_orders)):
            shape = [atoms, 2 * self.block_orders[block] + 1, self.block_channels[block]]
            results.append(torch.zeros(shape, dtype=like.dtype, device=like.device))
        room = self.make_room(like, chunks)
        for chunk in chunks:
            many, n = chunk.last - chunk.first, chunk.neighbours
            if n > 0:
                term = 0
                for slot in range(len(self.orders)):
                    channels, components = self.channels[slot], 2 * self.orders[slot] + 1
                    gathered = self.gather(features[slot], slot, chunk)
                    weights = self.look_up(slot, chunk, chunk.weights)
                    messages = self.take(room, weights.size(0), gathered)
                    torch.mul(weights, gathered, out=messages)
                    path = 0
                    for _ in range(self.terms[slot]):
                        paths = self.paths[term]
                        part = messages[path : path + paths]
                        part = part.view(paths * many, components * n, channels)
                        added = torch.bmm(chunk.matrices[self.groups[term]], part)
                        where = self.place(results[self.blocks[term]], term, channels, chunk)
                        where.copy_(added.view(paths, many, -1, channels))
                        path += paths
                        term += 1
        return results

    @torch.jit.export
    def pull_back(
        self,
        features: list[Tensor],
        gradients: list[Tensor],
        chunks: list[Chunk],
        wanted: bool,
    ) -> list[Tensor]:
        """Add up the derivatives of the energy by harmonics and lengths, and return the others.

        Args:
            features: as in `forward`.
            gradients: derivatives by what `forward` returned.
            chunks: those that `forward` took; the derivatives are added up there.
            wanted: whether derivatives by the features are.

        Returns:
            Derivatives by the features, of the same shapes; zero if they are not wanted.
        """
        results = [torch.zeros_like(each) for each in features]
        room = self.make_room(features[0], chunks)
        second = torch.empty_like(room)
        for chunk in chunks:
            many, n = chunk.last - chunk.first, chunk.neighbours
            if n > 0:
                term = 0
                for slot in range(len(self.orders)):
                    channels, components = self.channels[slot], 2 * self.orders[slot] + 1
                    gathered = self.gather(features[slot], slot, chunk)
                    weights = self.look_up(slot, chunk, chunk.weights)
                    messages = self.take(room, weights.size(0), gathered)
                    torch.mul(weights, gathered, out=messages)
                    backward = self.take(second, weights.size(0), gathered)
                    path = 0
                    for _ in range(self.terms[slot]):
                        paths, group = self.paths[term], self.groups[term]
                        shape = [paths * many, components * n, channels]
                        part = messages[path : path + paths].view(shape)
                        came = self.place(gradients[self.blocks[term]], term, channels, chunk)
                        came = came.reshape(paths * many, -1, channels)
                        chunk.gradients[group].baddbmm_(came, part.transpose(1, 2))
                        matrices = chunk.matrices[group].transpose(1, 2)
                        torch.bmm(matrices, came, out=backward[path : path + paths].view(shape))
                        path += paths
                        term += 1
                    slopes = self.look_up(slot, chunk, chunk.slopes)
                    torch.mul(slopes, backward, out=messages)
                    changes = messages.sum(0) * gathered[0]
                    chunk.radial.add_(changes.sum(3).sum(1))
                    if wanted:
                        torch.mul(weights, backward, out=messages)
                        sent = messages.sum(0).view(-1, channels)
                        results[slot].index_add_(0, chunk.gathers[self.orders[slot]], sent)
        return results

    def make_room(self, like: Tensor, chunks: list[Chunk]) -> Tensor:
        """Return memory for the largest messages, which stays in the cache from chunk to chunk."""
        edges = 0
        for chunk in chunks:
            edges = max(edges, (chunk.last - chunk.first) * chunk.neighbours)
        widest = 0
        for slot in range(len(self.orders)):
            paths = self.tables[slot].size(0) // self.rows
            widest = max(widest, paths * (2 * self.orders[slot] + 1) * self.channels[slot])
        return torch.empty(edges * widest, dtype=like.dtype, device=like.device)

    def take(self, room: Tensor, paths: int, gathered: Tensor) -> Tensor:
        """Return a part of that memory, of as many messages as there are paths."""
        shape = [paths, gathered.size(1), gathered.size(2), gathered.size(3), gathered.size(4)]
        return room[: paths * gathered.numel()].view(shape)

    def gather(self, features: Tensor, slot: int, chunk: Chunk) -> Tensor:
        """Return the neighbours' features, ``[1, atoms, 2 l + 1, neighbours, channels]``."""
        order = self.orders[slot]
        rows = features.index_select(0, chunk.gathers[order])
        many, n = chunk.last - chunk.first, chunk.neighbours
        return rows.view(1, many, 2 * order + 1, n, self.channels[slot])

    def look_up(self, slot: int, chunk: Chunk, weights: Tensor) -> Tensor:
        """Return what the table gives, ``[paths, atoms, 1, neighbours, channels]``."""
        table, channels = self.tables[slot], self.channels[slot]
        many, n = chunk.last - chunk.first, chunk.neighbours
        bags = table.size(0) // self.rows * many * n
        starts = torch.arange(0, bags * 6, 6, device=table.device)
        found = torch.embedding_bag(
            table,
            chunk.indices[: bags * 6],
            starts,
            False,
            0,
            False,
            weights[: bags * 6],
        )[0]
        return found.view(-1, many, 1, n, channels)

    def place(self, block: Tensor, term: int, channels: int, chunk: Chunk) -> Tensor:
        """Return where a term stands in a block, ``[paths, atoms, 2 l + 1, channels]``."""
        first, paths = self.columns[term], self.paths[term]
        part = block[chunk.first : chunk.last, :, first : first + paths * channels]
        many, components = chunk.last - chunk.first, block.size(1)
        return part.view(many, components, paths, channels).permute(2, 0, 1, 3)
