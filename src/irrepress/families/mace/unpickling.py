"""Reading MACE's files, pickles of whole modules, without running code that they bring.

A pickle names functions and classes and has them called. Here it gets those of a fixed list
(`_VALUES`, and modules of mace, e3nn and PyTorch), and most of these only in part:

- Modules are filled with what the file says, but nothing of their class runs: no constructor, and
  no ``__setstate__``, by which e3nn would load the TorchScript that lies in its modules.
- Modules of torch.fx, whose Python code the file holds as text, come back as empty modules.
- ``getattr`` gives the activation functions of PyTorch that have no other name, and nothing else.

So what comes back cannot be run. It serves to read the arguments of MACE's constructor and the
weights; a network to run is built from these.
"""

import codecs
import collections
import functools
import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy._core.multiarray as multiarray
import torch

from irrepress.families.mace.package import mace_modules  # imports mace and e3nn

_MODULES = (
    *("blocks", "gate", "irreps_tools", "models", "radial", "symmetric_contraction", "utils"),
    *("extensions", "embeddings"),
)
# Modules whose classes of neural networks may be named.
_OF_NETWORKS = {
    *(f"{mace_modules.__name__}.{name}" for name in _MODULES),
    *("e3nn.math._normalize_activation", "e3nn.nn._activation", "e3nn.nn._fc", "e3nn.nn._gate"),
    *("e3nn.nn._extract", "e3nn.o3._linear", "e3nn.o3._spherical_harmonics"),
    *("e3nn.o3._tensor_product._sub", "e3nn.o3._tensor_product._tensor_product"),
    *("torch.nn.modules.activation", "torch.nn.modules.container", "torch.nn.modules.dropout"),
    *("torch.nn.modules.linear", "torch.nn.modules.module", "torch.nn.modules.normalization"),
}
# Plain data of e3nn: tuples, which are made without a constructor.
_TUPLES = {
    "e3nn.o3._irreps": ("Irrep", "Irreps", "_MulIr"),
    "e3nn.o3._linear": ("Instruction",),
    "e3nn.o3._tensor_product._instruction": ("Instruction",),
}
# Where PyTorch keeps its functions; its types leave it out.
_FUNCTIONS = torch._C._VariableFunctionsClass  # type: ignore[attr-defined]
_ACTIVATIONS = ("tanh", "abs", "sigmoid", "silu", "relu", "softplus", "gelu", "elu", "softsign")


class RefusedName(pickle.UnpicklingError):
    """A pickle names what it must not have.

    Attributes:
        name: the name, such as ``os.system``.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


def read_inert(content: bytes) -> Any:
    """Return what a file of ``torch.save`` holds, as modules that cannot be run.

    Args:
        content: the file.

    Raises:
        RefusedName: the pickle names a function or class that no MACE model needs.
        Exception: the content is damaged; of which kind depends on where.
    """
    # Without it, torch.load would hand the file to TorchScript, which can run its own code.
    archive: Any = torch._C.PyTorchFileReader(io.BytesIO(content))
    if archive.has_record("constants.pkl"):
        raise RefusedName("a TorchScript archive")
    return torch.load(
        io.BytesIO(content), map_location="cpu", weights_only=False, pickle_module=_RESTRICTED
    )


class _Unpickler(pickle.Unpickler):
    """Finds the names of the list and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a function or class; see the base class."""
        value = _VALUES.get((module, name))
        if value is None and module in _OF_NETWORKS:
            found: Any = getattr(sys.modules.get(module), name, None)
            if _is_network(found) and (found.__module__, found.__qualname__) == (module, name):
                value = _inert(found)
        if value is None and name in _TUPLES.get(module, ()):
            value = _unbuildable(getattr(sys.modules[module], name))
        if value is None:
            raise RefusedName(f"{module}.{name}")
        return value


def _never(*_: Any, **__: Any) -> Any:
    """Stand for `pickle.load`, by which torch reads files that are no archives."""
    raise pickle.UnpicklingError("it is no archive of PyTorch")


# What torch.load takes as a replacement of the module pickle.
_RESTRICTED = types.SimpleNamespace(
    __name__="pickle", Unpickler=_Unpickler, UnpicklingError=pickle.UnpicklingError,
    load=_never, loads=_never,
)  # fmt: skip


class _Unbuildable(type):
    """Class of classes whose objects come from a file alone."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise RefusedName(f"a call of {cls.__name__}")


def _is_network(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, torch.nn.Module)


@functools.cache
def _unbuildable(cls: type) -> type:
    """Return a class with the same objects that cannot be called."""
    return _Unbuildable(cls.__name__, (cls,), {"__module__": cls.__module__, "__slots__": ()})


@functools.cache
def _inert(cls: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """Return a class of modules that are filled from a file and run nothing of their own."""
    members = {"__module__": cls.__module__, "__setstate__": _fill}
    inert: Any = _Unbuildable(cls.__name__, (cls,), members)
    return inert


def _fill(module: torch.nn.Module, state: dict[str, Any]) -> None:
    state = dict(state)
    code = state.pop("__codegen__", {})
    if not all(isinstance(script, bytes) for script in code.values()):
        raise ValueError("the compiled code of its maps has another form")
    torch.nn.Module.__setstate__(module, state)


def _empty_graph(body: dict[str, Any], *_: Any) -> torch.nn.Module:
    """Stand for torch.fx's reduce_graph_module, which runs the text that it is given."""
    module = torch.nn.Module()
    for part in ("_parameters", "_buffers", "_modules"):
        getattr(module, part).update(body.get(part) or {})
    return module


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """Stand for `codecs.encode`, by which pickles of old protocols make bytes."""
    if encoding not in ("latin1", "latin-1", "utf-8"):
        raise RefusedName(f"codec {encoding}")
    return codecs.encode(text, encoding)


def _activation(owner: Any, name: str) -> Callable[..., Any]:
    """Stand for `getattr`, of which pickles of old protocols make torch.tanh."""
    if owner is not _FUNCTIONS or name not in _ACTIVATIONS:
        raise RefusedName(f"attribute {name!r}")
    return getattr(torch, name)


class _Nothing:
    """Stands for what torch.fx traces with; nothing is traced."""


def _values() -> dict[tuple[str, str], Any]:
    """Return all that is no module of a network: (module, name) -> what a pickle gets."""
    found: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): _encode,
        ("torch.fx.graph_module", "reduce_graph_module"): _empty_graph,
        ("torch.fx._symbolic_trace", "Tracer"): _Nothing,
        ("torch._C", "_VariableFunctionsClass"): _FUNCTIONS,
        ("torch", "Size"): torch.Size,
        ("torch", "device"): torch.device,
        ("torch.nn.parameter", "Parameter"): torch.nn.Parameter,
    }
    for module in ("builtins", "__builtin__"):
        found[module, "getattr"] = _activation
        for kind in (set, frozenset, list, dict, tuple, int, float, bool, complex, slice):
            found[module, kind.__name__] = kind
    for name in ("_rebuild_parameter", "_rebuild_tensor", "_rebuild_tensor_v2"):
        found["torch._utils", name] = getattr(torch._utils, name)
    for name in ("float16", "bfloat16", "float32", "float64", "int32", "int64", "bool"):
        found["torch", name] = getattr(torch, name)
    for name in _ACTIVATIONS:
        for module in ("torch", "torch.nn.functional"):
            function = getattr(sys.modules[module], name, None)
            if function is not None:
                found[module, name] = function
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[core, "scalar"] = multiarray.scalar
        found[core, "_reconstruct"] = multiarray._reconstruct
    found["numpy", "ndarray"], found["numpy", "dtype"] = np.ndarray, np.dtype
    return found


_VALUES = _values()
