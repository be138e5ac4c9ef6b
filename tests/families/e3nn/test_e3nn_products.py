"""Products of irreps."""

import itertools

from e3nn.o3 import Irrep

from irrepress.families.e3nn.paths import products


def test_products_are_those_of_e3nn():
    irreps = [f"{degree}{parity}" for degree in range(4) for parity in "eo"]
    for first, second in itertools.product(irreps, irreps):
        expected = [str(irrep) for irrep in Irrep(first) * Irrep(second)]
        assert list(products(first, second)) == expected
