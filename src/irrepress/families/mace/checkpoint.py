"""Reading and writing MACE's native files, whole modules as pickles.

Elsewhere such a file runs code when it is loaded. Here `inspection` refuses files of other kinds,
and `unpickling` reads what the constructor's arguments and weights are, without running any code
of the file; downloads are verified first, and a config can give the SHA-256 of a file.

Networks are always built anew by MACE's constructor: files of older versions lack attributes
that newer ones set, and constants that were saved in float32 would stay rounded in float64.
"""

import logging
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from ase.calculators.calculator import Calculator

from irrepress.catalogue.checkpoints.mace import check_checkpoint
from irrepress.core.errors import UserError, first_line
from irrepress.core.finite import require_finite
from irrepress.core.model import Model, NativeModule
from irrepress.download.download import download
from irrepress.families.generic.checkpoints import cache_directory, check_modal, pickled
from irrepress.families.generic.file_kinds import check_kind
from irrepress.families.mace.code import settle
from irrepress.families.mace.config import build_network, read_config
from irrepress.families.mace.contraction import free_weights, narrow_contractions
from irrepress.families.mace.inspection import check_content, damaged
from irrepress.families.mace.package import MACECalculator, e3nn_version, mace_version
from irrepress.families.mace.unpickling import RefusedName, read_inert
from irrepress.families.registry import get_family

logger = logging.getLogger(__name__)

# Tensors that follow from the architecture: the constructor sets them.
_CONSTANTS = ("output_mask", "U_matrix_", "_zeroed", "_w3j", "_tensor_constant", "_compiled_main")


def fetch(keyword: str, licence: str | None = None) -> Path:
    """Return the file of a keyword, which is downloaded once.

    Files lie in the directory that ``IRREPRESS_CHECKPOINTS`` names, else in the user's cache.

    Raises:
        UserError: no such keyword, its licence was not accepted, or its download failed.
    """
    found = check_checkpoint(keyword, licence)
    logger.info("%s: licence %s, %s", keyword, found.licence.name, found.licence.url)
    chosen = os.environ.get("IRREPRESS_CHECKPOINTS")
    directory = Path(chosen) if chosen else cache_directory() / "checkpoints"
    target = directory / "mace" / found.file.name
    download(found.file, target, mirror=None, collection="mace", retries=3, timeout=30.0)
    return target


def read(path: Path) -> NativeModule:
    """Read a file without running code from it.

    Returns:
        The network as modules that hold its arguments and weights but cannot be run.

    Raises:
        UserError: damaged, of another kind, written with another version of e3nn, or a pickle
            that names what no model needs.
    """
    check_kind(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(path, str(error)) from error
    check_content(path, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_inert(content)
    except RefusedName as error:
        if error.name.startswith("e3nn."):
            raise _of_another_version(path, f"it needs {error.name}") from error
        raise UserError(
            f"{path}: its pickle names {error.name}, which no MACE model needs and which could run "
            "code; nothing of it was run. Do not load the file with other tools; get the model "
            "from its authors again"
        ) from error
    # What a pickle of other versions runs into depends on the version.
    except Exception as error:
        raise _of_another_version(path, f"{type(error).__name__}: {first_line(error)}") from error


def _of_another_version(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: mace-torch {mace_version} with e3nn {e3nn_version} cannot load this model "
        f"({reason}). It was written with another version of e3nn, or is damaged: whole modules "
        "load only with the version they were saved with, MACE's own files with e3nn 0.4.4; save "
        "it there anew, or get it again"
    )


def load(path: Path, modal: str | None, dtype: torch.dtype) -> Model:
    """Load a model; see `irrepress.core.family.Family.load`."""
    found = read(path)
    if dtype == torch.float32 and next(found.parameters()).dtype == torch.float64:
        logger.warning(
            "%s: its numbers are float64 and are used as float32, which rounds energies by 1e-7 of "
            "their size; to keep them, set dtype: float64 beside the checkpoint in the config",
            path,
        )
    try:
        config = read_config(found)
        network = build_network(config, dtype)
        adopt(found, network)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    # What modules that are not mace's own run into depends on what they lack.
    except Exception as error:
        raise damaged(path, f"{type(error).__name__}: {first_line(error)}") from error
    heads = config["heads"]
    check_modal(path, heads if len(heads) > 1 else [], modal, "heads")
    return make_model(network, modal)


def calculator(path: Path, device: str, modal: str | None) -> Calculator:
    """Return MACE's own calculator on the network that mace builds for the file."""
    dtype = next(read(path).parameters()).dtype
    network = require_finite(load(path, modal, dtype), path).network
    name = str(dtype).removeprefix("torch.")
    return MACECalculator(models=[network], device=device, default_dtype=name, head=modal)


def build(
    native: dict[str, Any], *, modal: str | None = None, dtype: torch.dtype = torch.float32
) -> Model:
    """Build a model; see `irrepress.core.family.Family.build`."""
    network = build_network(native, dtype)
    free_weights(network)
    return make_model(network, modal)


def make_model(network: NativeModule, modal: str | None) -> Model:
    """Wrap a network, in evaluation mode."""
    config = read_config(network)
    return Model(
        settle(network),
        family=get_family("mace"),
        native=config,
        cutoff=config["r_max"],
        elements=config["atomic_numbers"],
        modal=modal,
    ).eval()


@torch.no_grad()
def adopt(
    source: NativeModule,
    target: NativeModule,
    keep: Mapping[str, Sequence[int]] = MappingProxyType({}),
    *,
    done: Collection[str] = (),
    constants: tuple[str, ...] = (),
) -> None:
    """Copy all parameters, buffers and mean numbers of neighbours into a network.

    Args:
        source: a network of the same architecture, of any version of mace and any type.
        target: a network that MACE's constructor has built.
        keep: of products that are narrower in ``target``, group -> channels that stay.
        done: names of parameters of ``target`` that are set already.
        constants: names of further tensors that the constructor has set.

    Raises:
        UserError: the networks differ in a tensor.
    """
    ready = {*done, *narrow_contractions(source, target, keep)}
    given = _tensors(source)
    for name, tensor in _tensors(target).items():
        if name in ready or any(part in name for part in (*_CONSTANTS, *constants)):
            continue
        if name not in given or given[name].shape != tensor.shape:
            found = tuple(given[name].shape) if name in given else "nothing"
            raise UserError(
                f"mace-torch {mace_version} builds {name} of shape {tuple(tensor.shape)} for this "
                f"architecture, but the model has {found}; it is of another version or was changed"
            )
        tensor.copy_(given[name])
    for old, new in zip(source.interactions, target.interactions, strict=True):
        new.avg_num_neighbors = float(old.avg_num_neighbors)
    free_weights(target)


def content(model: Model, dtype: torch.dtype | None = None) -> bytes:
    """Return the content of a native file; see `irrepress.core.family.Family.content`.

    Numbers are of the model's type if no other is asked for.
    """
    correlation = model.native["correlation"]
    if len(set(correlation)) > 1:
        logger.warning(
            "layers have products of orders %s; the saved model runs everywhere, but MACE's tools "
            "that build a model anew (fine-tuning, accelerators) take the first for all layers",
            correlation,
        )
    network = model.network
    if dtype is not None and dtype != model.dtype:
        network = build_network(read_config(model.network), dtype)
        adopt(model.network, network)
    return pickled(settle(network).eval())


def _tensors(module: NativeModule) -> dict[str, torch.Tensor]:
    return module.state_dict(keep_vars=True)
