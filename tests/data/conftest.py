"""What the tests of the store share."""

import pytest

from irrepress.data.layout import StoreInfo


@pytest.fixture
def info() -> StoreInfo:
    return StoreInfo(
        source="random numbers",
        licence="CC0",
        citation="nobody, 2025",
        level_of_theory="PBE",
        labels="PBE",
        checksum="ab12",
    )
