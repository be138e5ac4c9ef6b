"""Reading and writing sevenn's checkpoints.

Checkpoints are pickles, which can run any code when they are loaded. Here they are read with
PyTorch's restricted unpickler (``weights_only``), which knows tensors, plain containers and the
few NumPy and PyTorch types that sevenn's configs hold; every published SevenNet checkpoint loads
that way, and there is no fallback to the unrestricted one.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy._core.multiarray as multiarray
import sevenn
import sevenn._keys as KEY
import sevenn.util
import torch
from ase.calculators.calculator import Calculator
from e3nn.o3 import wigner_3j
from sevenn.checkpoint import SevenNetCheckpoint, _config_cp_routine
from sevenn.model_build import build_E3_equivariant_model
from sevenn.nn.scale import get_resolved_shift_scale
from sevenn.nn.sequential import AtomGraphSequential

from irrepress.catalogue.checkpoints.sevennet import check_checkpoint
from irrepress.core.errors import UserError, explained
from irrepress.core.model import Model
from irrepress.families.e3nn.building import building_e3nn
from irrepress.families.generic.checkpoints import (
    check_modal,
    float32_state,
    pickled,
    plain,
    read_restricted,
)
from irrepress.families.registry import get_family
from irrepress.families.sevennet.architecture import ONE_HOT, RESCALE, read_architecture

_SAFE_TYPES: list[Any] = [
    torch.device,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("float32", "float64", "int32", "int64", "bool")),
    # NumPy 1 and NumPy 2 name the same two functions differently in pickles.
    *(
        (getattr(multiarray, function), f"numpy.{core}.multiarray.{function}")
        for function in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ),
]
# What describes the run and the machine of the original training, and is of no use to a reader.
_RUN_KEYS = {
    KEY.CONTINUE,
    KEY.DEVICE,
    KEY.IS_DDP,
    KEY.DDP_BACKEND,
    KEY.LOCAL_RANK,
    KEY.RANK,
    KEY.WORLD_SIZE,
    "when",
}
_WIGNER_3J = re.compile(r"\._w3j_(\d+)_(\d+)_(\d+)$")
# copy.deepcopy lets PyTorch trace e3nn's generated code anew, which adds such buffers.
_COPIED_CONSTANT = re.compile(r"\._tensor_constant\d+$")


def fetch(keyword: str, licence: str | None = None) -> Path:
    """Return the file of sevenn's keyword, which sevenn downloads unless it is part of the package.

    No licence is restricted.

    Raises:
        UserError: no such keyword, or the download failed.
    """
    check_checkpoint(keyword)
    problem = (
        f"{keyword}: this checkpoint is not part of the sevenn package and its download failed"
    )
    # sevenn lets the errors of the network library, the disk and the progress bar through.
    with explained(problem, "download it by hand and give the path of the file"):
        return Path(sevenn.util.pretrained_name_to_path(keyword))


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint's content without running code from it.

    Raises:
        UserError: not readable, truncated, not a checkpoint of SevenNet.
    """
    content = read_restricted(path, _SAFE_TYPES, "a SevenNet checkpoint", _not_sevennet)
    if not isinstance(content, dict):
        raise _not_sevennet(path, f"it holds a {type(content).__name__}")
    for key in ("config", "model_state_dict"):
        if not isinstance(content.get(key), dict) or not content[key]:
            raise _not_sevennet(path, f"it has no {key!r}")
    for key in ("version", KEY.CUTOFF, KEY.TYPE_MAP):
        if key not in content["config"]:
            raise _not_sevennet(path, f"its config has no {key!r}")
    return content


def load(path: Path, modal: str | None, dtype: torch.dtype) -> Model:
    """Load a model; see `irrepress.core.family.Family.load`."""
    checkpoint = _Checkpoint(path, read(path))
    problem = f"{path}: sevenn {sevenn.__version__} cannot build the network of this checkpoint"
    # A config or weights that are not sevenn's fail anywhere in its constructor.
    with explained(problem, "the file is damaged or of another version"), _building():
        config, network = checkpoint.config, checkpoint.build_model()
    check_modal(path, _modals(config), modal, "levels of theory")
    return make_model(network.to(dtype), native_config(config), modal)


def calculator(path: Path, device: str, modal: str | None) -> Calculator:
    """Return sevenn's own calculator; the file is checked first, as in `load`."""
    check_modal(path, _modals(read(path)["config"]), modal, "levels of theory")
    # It imports what sevenn trains with, scikit-learn and PyTorch Geometric, which takes as long as
    # all else that a job imports; models are loaded and run without.
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(str(path), device=device, modal=modal)


@contextmanager
def _building() -> Iterator[None]:
    """Let sevenn build a network while the context lasts.

    It makes tensor products to learn which irreps come out of them, and never runs them: without
    their code, networks are built in less time.
    """
    product = sevenn.util.FullTensorProduct
    sevenn.util.FullTensorProduct = partial(product, compile_left_right=False)
    try:
        with building_e3nn():
            yield
    finally:
        sevenn.util.FullTensorProduct = product


def _modals(config: dict[str, Any]) -> list[str]:
    return list(config.get(KEY.MODAL_MAP) or {}) if config.get(KEY.USE_MODALITY) else []


def native_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return sevenn's config as plain data, without traces of the original training run."""
    native = {
        key: plain(value)
        for key, value in config.items()
        if key not in _RUN_KEYS and not key.endswith(("_path", "_cp"))
    }
    # Weights are always held in e3nn's order and in the order of convolution paths that sevenn
    # has used since 0.11; with an older version in the config it would sort them again.
    native["version"] = sevenn.__version__
    native[KEY.CUEQUIVARIANCE_CONFIG] = {"use": False}
    native[KEY.USE_FLASH_TP] = False
    native[KEY.USE_OEQ] = False
    return native


def build(config: dict[str, Any]) -> AtomGraphSequential:
    """Build a network with random float32 weights from a config."""
    with _building():
        return build_E3_equivariant_model(config)


def build_model(
    native: dict[str, Any], *, modal: str | None = None, dtype: torch.dtype = torch.float32
) -> Model:
    """Build a model; see `irrepress.core.family.Family.build`."""
    return make_model(build(native).to(dtype), copy.deepcopy(native), modal)


def make_model(network: AtomGraphSequential, config: dict[str, Any], modal: str | None) -> Model:
    """Wrap a network and its plain config, in evaluation mode.

    Raises:
        UserError: the network has parts that irrepress does not support.
    """
    read_architecture(network)
    _restore_double_constants(network)
    # A hook is no part of the state_dict, so it does not reach saved files.
    network._modules[ONE_HOT].register_forward_hook(_match_dtype)
    return Model(
        network,
        family=get_family("sevennet"),
        native=config,
        cutoff=float(config[KEY.CUTOFF]),
        elements=(z for z in config[KEY.TYPE_MAP] if z > 0),
        modal=modal,
    ).eval()


def own_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights and buffers of a network without those that copying it has added."""
    return {name: tensor for name, tensor in state.items() if not _COPIED_CONSTANT.search(name)}


def content(model: Model, dtype: torch.dtype | None = None) -> bytes:
    """Return the content of a checkpoint of sevenn, in float32, its only type."""
    state = own_state(float32_state(model.network))
    config = plain(model.native)
    return pickled(
        {
            "config": config,
            "epoch": 0,
            "model_state_dict": state,
            "optimizer_state_dict": {},
            "scheduler_state_dict": {},
            "time": "not recorded",
            "hash": _content_hash(config, state),
        }
    )


def record_shift_and_scale(model: Model) -> None:
    """Write the network's energy shift and scale into the model's config, by element."""
    shift, scale = get_resolved_shift_scale(
        model.network._modules[RESCALE],
        model.native[KEY.TYPE_MAP],
        model.native.get(KEY.MODAL_MAP),
    )
    model.native[KEY.SHIFT], model.native[KEY.SCALE] = plain(shift), plain(scale)


class _Checkpoint(SevenNetCheckpoint):
    """sevenn's checkpoint with its upgrades of old versions, but with our safe reading."""

    def __init__(self, path: Path, content: dict[str, Any]):
        super().__init__(path)
        self._content = content

    def _load(self) -> None:
        self._config = _config_cp_routine(self._content["config"])
        self._model_state_dict = self._content["model_state_dict"]
        self._optimizer_state_dict = {}  # type: ignore[assignment]  # sevenn's own type is None
        self._scheduler_state_dict = {}  # type: ignore[assignment]
        self._loaded = True


def _restore_double_constants(network: torch.nn.Module) -> None:
    """Recompute the Wigner 3j symbols of a float64 network, in place.

    sevenn computes and stores them in float32. Widened, they stay rounded, and the network is
    equivariant to 1e-8 only instead of 1e-14.
    """
    for name, buffer in network.named_buffers():
        match = _WIGNER_3J.search(name)
        if match and buffer.dtype == torch.float64:
            exact = wigner_3j(*map(int, match.groups()), dtype=buffer.dtype, device=buffer.device)
            buffer.copy_(exact)


def _match_dtype(module: torch.nn.Module, inputs: Any, data: Any) -> Any:
    """Give the one-hot elements, which sevenn makes float32, the type of the positions."""
    for key in (module.key_output, module.key_additional_output):
        if key is not None:
            data[key] = data[key].to(data[KEY.EDGE_VEC].dtype)
    return data


def _content_hash(config: dict[str, Any], state: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _not_sevennet(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: not a SevenNet checkpoint ({reason}); give a file written by sevenn or one of "
        f"its keywords: {', '.join(sevenn.util.get_available_pretrained_models())}"
    )
