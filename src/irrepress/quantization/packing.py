"""The packed file of a quantized model, and its conversion to a native one.

The file is written by torch.save. It only contains plain Python types and tensors and is loaded
with ``weights_only=True``, so it cannot run code.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irrepress.core.errors import UserError, first_line
from irrepress.core.family import Family, WeightBlock
from irrepress.core.files import atomic_path
from irrepress.core.model import Model
from irrepress.quantization.schemes import (
    SUPPORTED_BITS,
    QuantizedMatrix,
    blocks_by_parameter,
    quantize,
)

FORMAT = "irrepress-packed"
VERSION = 1


def pack(model: Model, path: str | Path, *, bits: int = 8) -> None:
    """Write a model with quantized path and radial weights.

    Args:
        model: the model; its family determines which weights may be quantized.
        path: path of the file, which is written atomically.
        bits: 8 or 4.

    Raises:
        UserError: if ``bits`` is not supported or weights are not finite.
    """
    blocks = blocks_by_parameter(model)
    parameters: dict[str, Any] = {}
    for name, parameter in model.network.named_parameters():
        if name in blocks:
            parameters[name] = _pack_parameter(parameter, blocks[name], bits)
        else:
            parameters[name] = {"shape": list(parameter.shape), "exact": parameter.detach().cpu()}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "bits": bits,
        "family": model.family.name,
        "modal": model.modal,
        "dtype": str(model.dtype).removeprefix("torch."),
        "native": plain(model.native),
        "parameters": parameters,
    }
    # Given a path, torch.save would store the temporary file's name in the file.
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        torch.save(content, stream)


def packed_family(path: str | Path) -> str:
    """Return the family of the model in a packed file.

    Raises:
        UserError: if the file is not a packed file or has another version.
    """
    return _read(path)["family"]


def unpack(family: Family, path: str | Path) -> Model:
    """Rebuild the native model from a packed file, with dequantized weights.

    Raises:
        UserError: if the file is not a packed file, has another version or family, or is
            inconsistent.
    """
    content = _read(path)
    if content["family"] != family.name:
        raise UserError(f"{path}: holds a {content['family']} model, not {family.name}")
    dtype = getattr(torch, content.get("dtype", "float32"))  # missing in older files
    try:
        model = family.build(content["native"], modal=content["modal"], dtype=dtype)
    except Exception as error:  # a damaged config can cause any error in the family's constructor
        raise _damaged(path, f"its config does not build a model ({first_line(error)})") from error
    parameters = dict(model.network.named_parameters())
    if astray := sorted(parameters.keys() ^ content["parameters"].keys()):
        where = "the model" if astray[0] in content["parameters"] else "the file"
        raise _damaged(path, f"{where} has no parameter {astray[0]!r}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            try:
                value = _unpack_parameter(content["parameters"][name], parameter.shape)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise _damaged(path, f"parameter {name!r}: {_reason(error)}") from error
            parameter.copy_(value)
    return model


# Key -> check of its value, and description of valid values in messages.
_CONTENT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bits": (lambda value: type(value) is int and value in SUPPORTED_BITS, "8 or 4"),
    "family": (lambda value: isinstance(value, str), "the name of a family"),
    "modal": (lambda value: value is None or isinstance(value, str), "a name or nothing"),
    "native": (lambda value: isinstance(value, dict), "a config"),
    "parameters": (lambda value: isinstance(value, dict), "parameters by their names"),
    "dtype": (lambda value: value in ("float32", "float64"), "float32 or float64"),
}


def _read(path: str | Path) -> dict[str, Any]:
    """Read a packed file and check that it is one."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except Exception as error:  # damaged files raise exceptions of many types
        raise UserError(
            f"{path}: not a packed model, or truncated; pack the model again"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a packed model of irrepress")
    if content.get("version") != VERSION:
        raise UserError(
            f"{path}: packed format {content.get('version')!r}, expected {VERSION}; pack again"
        )
    for key, (is_right, wanted) in _CONTENT.items():
        if key == "dtype" and key not in content:
            continue
        if key not in content:
            raise _damaged(path, f"the key {key!r} is missing")
        if not is_right(content[key]):
            raise _damaged(path, f"{key} is {str(content[key])[:40]!r}, it must be {wanted}")
    return content


def _damaged(path: str | Path, reason: str) -> UserError:
    return UserError(
        f"{path}: {reason}; the file is damaged or was changed: pack the model again, or copy the "
        "file again"
    )


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else first_line(error)


def plain(value: Any) -> Any:
    """Return a value with arrays as lists, and devices and types as strings, recursively."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | Tensor):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | str | type(None)):
        return value
    return str(value)


def _pack_parameter(parameter: Tensor, blocks: list[WeightBlock], bits: int) -> dict[str, Any]:
    """Quantize the blocks of a parameter; values outside all blocks are kept exactly."""
    flat = parameter.detach().cpu().flatten()
    covered = torch.zeros(flat.numel(), dtype=torch.bool)
    matrices = []
    for block in blocks:
        quantized = quantize(block.of(flat), bits)
        covered[block.start : block.start + math.prod(block.shape)] = True
        matrices.append(
            {
                "start": block.start,
                "shape": list(block.shape),
                "transposed": block.transposed,
                "bits": bits,
                "values": quantized.values,
                "scales": quantized.scales,
            }
        )
    return {"shape": list(parameter.shape), "matrices": matrices, "rest": flat[~covered].clone()}


def _unpack_parameter(entry: Any, shape: Sequence[int]) -> Tensor:
    """Invert `_pack_parameter`.

    Args:
        entry: the result of `_pack_parameter`.
        shape: shape of the parameter in the model.

    Raises:
        ValueError: if sizes, types or values are invalid; the message says which.
        KeyError: if a key is missing.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"it is a {type(entry).__name__} instead of a dictionary")
    if list(entry["shape"]) != list(shape):
        raise ValueError(f"its shape is {list(entry['shape'])}, the model's {list(shape)}")
    if "exact" in entry:
        return _numbers(entry["exact"], shape, "exact")
    covered = torch.zeros(math.prod(shape), dtype=torch.bool)
    blocks = []
    for matrix in entry["matrices"]:
        quantized = _quantized(matrix)
        start = matrix["start"]
        end = start + math.prod(quantized.shape) if type(start) is int else -1
        if not 0 <= start < end <= len(covered) or covered[start:end].any():
            raise ValueError(f"a matrix of shape {quantized.shape} cannot begin at {start}")
        covered[start:end] = True
        dequantized = quantized.dequantize()
        # Missing in files of older versions.
        if matrix.get("transposed", False):
            dequantized = dequantized.T
        blocks.append((slice(start, end), dequantized.flatten()))
    rest = _numbers(entry["rest"], [int((~covered).sum())], "rest")
    flat = torch.zeros(len(covered), dtype=rest.dtype)
    flat[~covered] = rest
    for place, values in blocks:
        flat[place] = values.to(flat.dtype)
    return flat.reshape(tuple(shape))


def _quantized(matrix: Any) -> QuantizedMatrix:
    """Return a matrix from the file after checking its consistency."""
    bits, (rows, columns) = matrix["bits"], matrix["shape"]
    if type(bits) is not int or bits not in SUPPORTED_BITS:
        raise ValueError(f"bits is {bits!r}, it must be 8 or 4")
    if not all(type(size) is int and size > 0 for size in (rows, columns)):
        raise ValueError(f"the shape of a matrix is {matrix['shape']!r}")
    values, scales = matrix["values"], _numbers(matrix["scales"], [columns], "scales")
    kind, size = (torch.int8, [rows, columns])
    if bits == 4:
        kind, size = (torch.uint8, [-(-rows * columns // 2)])
    if not isinstance(values, Tensor) or values.dtype != kind or list(values.shape) != size:
        raise ValueError(f"values must be {kind} of shape {size} for {bits} bits")
    if not bool((scales > 0).all()):
        raise ValueError("scales must be positive")
    return QuantizedMatrix(values, scales, (rows, columns), bits)


def _numbers(value: Any, shape: Sequence[int], what: str) -> Tensor:
    """Return a tensor after checking its shape and that it is finite."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ValueError(f"{what} must be a floating-point tensor")
    if list(value.shape) != list(shape):
        raise ValueError(f"{what} has the shape {list(value.shape)}, it must be {list(shape)}")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{what} contains NaN or infinity")
    return value
