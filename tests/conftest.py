"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep torch to one thread: the tests' tensors are small, and cores are shared."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of real datasets that some tests read; skips where it is absent.

    ``IRREPRESS_SHARED`` names the directory that holds ``data``; without it the directory
    ``shared`` beside the repository is taken.
    """
    shared = Path(os.environ.get("IRREPRESS_SHARED", ROOT.parent / "shared"))
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"real datasets are not at {data}; set IRREPRESS_SHARED")
    return data
