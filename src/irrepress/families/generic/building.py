"""What building networks by a family's constructor needs around it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def building(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Let constructors build in a type, without their warnings, while the context lasts.

    Most take PyTorch's default type, and some mix up types if that is not float32.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed while the context lasts; later random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
