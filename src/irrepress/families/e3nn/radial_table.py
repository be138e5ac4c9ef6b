"""Radial networks as splines: what they give, and how it changes, looked up by distance.

A radial network is a function of one number, and most of its time goes into its last, widest map.
Between two knots a polynomial of degree 5 has the network's values, slopes and curvatures at both,
so that the table has two continuous derivatives, and forces are its exact slopes. A few hundred
knots bring it as near to the network as float32 does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from irrepress.core.errors import UserError

# Rows of a knot: value, slope and half the curvature, in units of the distance between knots.
ROWS = 3
# Of slopes, relative to the largest one: below what float32 loses on the way.
TOLERANCE = 1e-6
_FEWEST, _MOST = 16, 4096
_NEAREST = 1e-3  # Å; Bessel functions divide by the distance
_CLOSE = 0.6  # Å; nearer, only atoms of a simulation gone wrong are
_SCALE_POINTS = 200
_STEP = 1e-9  # Å, from where one side of a kink is looked at

# Powers of the place between two knots, from 0 to 1 -> weights of the six rows of both.
HERMITE = (
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    (-10.0, -6.0, -3.0, 10.0, -4.0, 1.0),
    (15.0, 8.0, 3.0, -15.0, 7.0, -2.0),
    (-6.0, -3.0, -1.0, 6.0, -3.0, 1.0),
)


@dataclass(frozen=True)
class RadialTable:
    """Functions of the distance as splines, in float64.

    Attributes:
        starts: where the pieces begin, each of which has its own spacing, in Å.
        spacings: between the knots of each piece, in Å.
        firsts: row of the first knot of each piece, and the number of rows.
        rows: of each function, ``[rows, values]``.

    Example:
        >>> import torch
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> table = tabulate(lambda r: [torch.sin(r)[:, None]], [one], 5.0)
        >>> indices, weights, slopes = table.locate(torch.tensor([1.0], dtype=torch.float64))
        >>> float(weights[0] @ table.rows[0][indices[0], 0]) - 0.8414709848 < 1e-9
        True
    """

    starts: tuple[float, ...]
    spacings: tuple[float, ...]
    firsts: tuple[int, ...]
    rows: tuple[Tensor, ...]

    def locate(self, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return which rows make the values at some distances, and with which weights.

        Args:
            distances: in Å, ``[distances]``.

        Returns:
            Indices of the rows, their weights in the values, and in the slopes by Å,
            ``[distances, 6]`` each.
        """
        return locate(
            distances,
            list(self.starts),
            list(self.spacings),
            list(self.firsts),
            torch.tensor(HERMITE, dtype=distances.dtype, device=distances.device),
        )


def locate(
    distances: Tensor,
    starts: list[float],
    spacings: list[float],
    firsts: list[int],
    hermite: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `RadialTable.locate` does, in terms that TorchScript compiles."""
    place = (distances - starts[0]) / spacings[0]
    spacing = torch.full_like(distances, spacings[0])
    first = torch.full_like(distances, firsts[0], dtype=torch.int64)
    for piece in range(1, len(starts)):
        beyond = distances >= starts[piece]
        place = torch.where(beyond, (distances - starts[piece]) / spacings[piece], place)
        spacing = torch.where(beyond, spacings[piece], spacing)
        first = torch.where(beyond, firsts[piece], first)
    knot = place.floor().clamp(min=0.0)
    for piece in range(len(starts)):
        # Outside the last knots the outermost polynomials go on.
        last = (firsts[piece + 1] - firsts[piece]) // 3 - 2
        knot = torch.where(first == firsts[piece], knot.clamp(max=float(last)), knot)
    t = (place - knot).unsqueeze(1)
    one = torch.ones_like(t)
    powers = torch.cat([one, t, t**2, t**3, t**4, t**5], dim=1)
    steps = torch.cat([0 * one, one, 2 * t, 3 * t**2, 4 * t**3, 5 * t**4], dim=1)
    rows = (first + 3 * knot.to(torch.int64)).unsqueeze(1)
    indices = rows + torch.arange(6, device=distances.device)
    return indices, powers @ hermite, steps @ hermite / spacing.unsqueeze(1)


def tabulate(
    hidden: Callable[[Tensor], Sequence[Tensor]],
    maps: Sequence[Tensor],
    cutoff: float,
    breaks: Sequence[float] = (),
    tolerance: float = TOLERANCE,
) -> RadialTable:
    """Turn functions of the distance into splines on knots that all of them share.

    Args:
        hidden: distances in Å, ``[distances]`` float64 -> for each function ``[distances,
            hidden]``, such as the last hidden layer of a radial network.
        maps: of each function, what makes its values of that, ``[hidden, values]`` float64.
        cutoff: the last distance in Å.
        breaks: distances where the spacing of the knots changes; where a function has a jump in
            a second or higher derivative, there must be one.
        tolerance: maximum error of a slope, relative to the largest slope of its function.

    Nearer than atoms come to each other, ten times the error is allowed.

    Raises:
        UserError: so near to the functions the splines do not come.
    """
    breaks = (_CLOSE, *breaks)
    starts = (_NEAREST, *sorted({each for each in breaks if _NEAREST < each < cutoff}))
    ends = (*starts[1:], cutoff)
    ladder = torch.linspace(_NEAREST, cutoff, _SCALE_POINTS, dtype=torch.float64)
    largest = [
        float((slopes.detach() @ each).abs().max())
        for slopes, each in zip(_slopes(hidden, ladder), maps, strict=True)
    ]
    firsts, spacings, pieces, first = [], [], [], 0
    for start, end in zip(starts, ends, strict=True):
        intervals = _FEWEST
        while True:
            rows = _knots(hidden, start, end, intervals)
            allowed = tolerance if start >= _CLOSE else 10 * tolerance
            if _error(hidden, maps, rows, start, end, largest) <= allowed:
                break
            intervals *= 2
            if intervals > _MOST:
                raise UserError(
                    f"radial networks: between {start:g} and {end:g} Å, splines of {_MOST} knots "
                    f"do not come within {tolerance:g} of their slopes; use the model in its own "
                    "format"
                )
        firsts.append(first)
        spacings.append((end - start) / intervals)
        pieces.append(rows)
        first += ROWS * (intervals + 1)
    joined = [torch.cat(each) @ m for each, m in zip(zip(*pieces, strict=True), maps, strict=True)]
    return RadialTable(starts, tuple(spacings), (*firsts, first), tuple(joined))


def _knots(
    hidden: Callable[[Tensor], Sequence[Tensor]], start: float, end: float, intervals: int
) -> list[Tensor]:
    knots = torch.linspace(start, end, intervals + 1, dtype=torch.float64)
    knots[0] += _STEP
    knots[-1] -= _STEP
    spacing = (end - start) / intervals
    values = hidden(knots)
    steps = torch.func.jvp(lambda r: _slopes(hidden, r), (knots,), (torch.ones_like(knots),))
    return [
        torch.stack([value, spacing * slope, spacing**2 / 2 * curvature], dim=1)
        .flatten(0, 1)
        .detach()
        for value, slope, curvature in zip(values, steps[0], steps[1], strict=True)
    ]


def _error(
    hidden: Callable[[Tensor], Sequence[Tensor]],
    maps: Sequence[Tensor],
    table: Sequence[Tensor],
    start: float,
    end: float,
    largest: Sequence[float],
) -> float:
    """Return the largest error of a slope between knots, relative to the function's largest."""
    intervals = len(table[0]) // ROWS - 1
    spacing = (end - start) / intervals
    # Where the error of the slope is largest, and as large again on the other side of the middle.
    places = torch.tensor([0.28, 0.72], dtype=torch.float64)
    radii = (start + spacing * (torch.arange(intervals)[:, None] + places)).flatten()
    piece = RadialTable((start,), (spacing,), (0, len(table[0])), tuple(table))
    indices, _, weights = piece.locate(radii)
    worst = 0.0
    for rows, exact, last, scale in zip(table, _slopes(hidden, radii), maps, largest, strict=True):
        wrong = (torch.einsum("er,erv->ev", weights, rows[indices]) - exact) @ last
        if scale > 0:
            worst = max(worst, float(wrong.detach().abs().max()) / scale)
    return worst


def _slopes(hidden: Callable[[Tensor], Sequence[Tensor]], radii: Tensor) -> tuple[Tensor, ...]:
    # Without gradients, PyTorch takes activations whose second derivatives it has not.
    with torch.enable_grad():
        return torch.func.jvp(lambda r: tuple(hidden(r)), (radii,), (torch.ones_like(radii),))[1]
