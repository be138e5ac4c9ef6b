"""Building networks of e3nn, without what its constructors compute again and again."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import fx

from irrepress.families.generic.building import building

# Codes of maps and products that are kept, of each kind; a large network has some ten.
_KEPT = 512


@contextmanager
def building_e3nn(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """`irrepress.families.generic.building.building`, where e3nn's constructors are called.

    They take the second moment of every activation from a million numbers, always the same, and
    write and optimize the code of every linear map and tensor product. Most layers of a network
    have the shapes of another, as have most of a model that is built from another one. Here both
    are done once for equal arguments; networks, their weights and random numbers are the same.
    """
    remembering = _remembering()
    before = [(module, name, getattr(module, name)) for module, name, _ in remembering]
    for module, name, value in remembering:
        setattr(module, name, value)
    try:
        with building(dtype):
            yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


class _MomentOnce:
    """e3nn's function that takes moments of activations, called once for equal arguments."""

    def __init__(self, take: Callable[..., torch.Tensor]):
        self._take, self._known = take, cache(take)

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        # A module can have weights, which change.
        take = self._take if isinstance(function, torch.nn.Module) else self._known
        return take(function, *args, **kwargs)


class _CodeOnce:
    """One of e3nn's functions that write code, called once for equal arguments.

    Every call returns modules of its own.
    """

    def __init__(self, write: Callable[..., Any]):
        self._write = write
        self._known: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # The code's constants are made in the default type, on the default device.
        key = repr((args, kwargs, torch.get_default_dtype(), torch.get_default_device()))
        if key not in self._known:
            if len(self._known) == _KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = self._write(*args, **kwargs)
        found = self._known[key]
        return (_copied(found[0]), *found[1:]) if isinstance(found, tuple) else _copied(found)


def _copied(code: fx.GraphModule) -> fx.GraphModule:
    """Return a module with the same code and constants of its own.

    copy.deepcopy would trace the code anew, which adds constants by other names.
    """
    constants = torch.nn.Module()
    for name, value in code.named_buffers():
        constants.register_buffer(name, value.clone())
    return fx.GraphModule(constants, copy.deepcopy(code.graph), class_name=type(code).__name__)


@cache
def _remembering() -> list[tuple[Any, str, Any]]:
    """Return modules of e3nn, names in them, and what takes their place while networks are built.

    Imported here: MACE's e3nn 0.4 needs preparations (`irrepress.families.mace.package`). By their
    names: classes and functions of the same names hide some of the modules.
    """
    activations = import_module("e3nn.math._normalize_activation")
    linear = import_module("e3nn.o3._linear")
    products = import_module("e3nn.o3._tensor_product._tensor_product")
    private = [
        (activations, "moment"),
        (linear, "_codegen_linear"),
        (products, "codegen_tensor_product_left_right"),
    ]
    if not all(hasattr(module, name) for module, name in private):
        return []  # another version, whose constructors run as they are
    product = _CodeOnce(products.codegen_tensor_product_left_right)
    return [
        (activations, "moment", _MomentOnce(activations.moment)),
        (linear, "_codegen_linear", _CodeOnce(linear._codegen_linear)),
        # e3nn 0.4 calls the function, later versions the first of a list that has an answer.
        (products, "_CODEGEN_PROVIDERS_LEFT_RIGHT", [product])
        if hasattr(products, "_CODEGEN_PROVIDERS_LEFT_RIGHT")
        else (products, "codegen_tensor_product_left_right", product),
    ]
