"""Paths of convolutions: the products of features with spherical harmonics."""

from collections.abc import Iterator
from dataclasses import dataclass

from irrepress.core.irreps import order
from irrepress.core.model import NativeModule


@dataclass(frozen=True)
class Path:
    """One path of a convolution's tensor product, features ⊗ filter -> messages.

    Attributes:
        source: irrep of the features.
        filter: irrep of the spherical harmonics.
        target: irrep of the messages.
        channels: number of channels, which is its number of radial weights per edge.
    """

    source: str
    filter: str
    target: str
    channels: int


def read_paths(convolution: NativeModule) -> Iterator[Path]:
    """Yield the paths of a ``TensorProduct``, in the order of its radial weights.

    Messages of one irrep lie in the same order, since all families sort paths by it.
    """
    for path in convolution.instructions:
        source = convolution.irreps_in1[path.i_in1]
        filter_, target = convolution.irreps_in2[path.i_in2], convolution.irreps_out[path.i_out]
        yield Path(str(source.ir), str(filter_.ir), str(target.ir), source.mul)


def products(first: str, second: str) -> Iterator[str]:
    """Yield the irreps that the product of two irreps contains, the lowest order first.

    Example:
        >>> list(products("1o", "1e"))
        ['0o', '1o', '2o']
    """
    parity = "e" if first[-1] == second[-1] else "o"
    lowest, highest = abs(order(first) - order(second)), order(first) + order(second)
    for degree in range(lowest, highest + 1):
        yield f"{degree}{parity}"
