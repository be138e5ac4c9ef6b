"""The packed file of a quantized model, and the way back to a native one.

The file is a ZIP of tensors written by torch.save. It holds plain Python types and tensors
only and is loaded with ``weights_only=True``: a packed file can run no code.
"""

import math
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irrepress.errors import UserError
from irrepress.families.base import Family, Model, WeightBlock
from irrepress.files import atomic_path
from irrepress.quantization.schemes import QuantizedMatrix, quantize

FORMAT = "irrepress-packed"
VERSION = 1


def pack(family: Family, model: Model, path: str | Path, *, bits: int = 8) -> None:
    """Write a model with quantized path and radial weights.

    Args:
        family: the model's family; it says which weights may be quantized.
        model: the model.
        path: where to write, atomically.
        bits: 8 or 4.

    Raises:
        UserError: bits that are not supported, or weights that are not finite.
    """
    blocks: dict[str, list[WeightBlock]] = {}
    for block in family.weight_blocks(model):
        blocks.setdefault(block.parameter, []).append(block)
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
        "family": model.family,
        "modal": model.modal,
        "native": plain(model.native),
        "parameters": parameters,
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def packed_family(path: str | Path) -> str:
    """Return the family of the model in a packed file.

    Raises:
        UserError: not a packed file, or of another version.
    """
    return _read(path)["family"]


def unpack(family: Family, path: str | Path) -> Model:
    """Rebuild the native model from a packed file; its weights are the dequantized ones.

    Raises:
        UserError: not a packed file, of another version or another family.
    """
    content = _read(path)
    if content["family"] != family.name:
        raise UserError(f"{path}: holds a {content['family']} model, not {family.name}")
    model = family.build(content["native"], modal=content["modal"])
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            parameter.copy_(_unpack_parameter(content["parameters"][name]))
    return model


def _read(path: str | Path) -> dict[str, Any]:
    """Read a packed file and check that it is one."""
    try:
        content = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, RuntimeError, EOFError, UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a packed model, or cut off; pack the model anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a packed model of irrepress")
    if content["version"] != VERSION:
        raise UserError(
            f"{path}: packed format {content['version']}, expected {VERSION}; pack anew"
        )
    return content


def plain(value: Any) -> Any:
    """Return the value with NumPy arrays as lists, devices and types as text, recursively."""
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
    """Quantize the blocks of a parameter; what no block covers is kept exactly."""
    flat = parameter.detach().cpu().flatten()
    covered = torch.zeros(flat.numel(), dtype=torch.bool)
    matrices = []
    for block in blocks:
        size = math.prod(block.shape)
        rows, columns = block.shape
        part = flat[block.start : block.start + size]
        part = part.reshape(columns, rows).T if block.transposed else part.reshape(rows, columns)
        quantized = quantize(part, bits)
        covered[block.start : block.start + size] = True
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


def _unpack_parameter(entry: dict[str, Any]) -> Tensor:
    """Undo `_pack_parameter`."""
    if "exact" in entry:
        return entry["exact"]
    flat = torch.zeros(math.prod(entry["shape"]))
    covered = torch.zeros(flat.numel(), dtype=torch.bool)
    for matrix in entry["matrices"]:
        shape = (matrix["shape"][0], matrix["shape"][1])
        quantized = QuantizedMatrix(matrix["values"], matrix["scales"], shape, matrix["bits"])
        end = matrix["start"] + math.prod(shape)
        dequantized = quantized.dequantize()
        # Files of older versions do not say so.
        if matrix.get("transposed", False):
            dequantized = dequantized.T
        flat[matrix["start"] : end] = dequantized.flatten()
        covered[matrix["start"] : end] = True
    flat[~covered] = entry["rest"].float()
    return flat.reshape(entry["shape"])
