"""Reading and writing sevenn's checkpoints.

Checkpoints are pickles, which can run any code when they are loaded. Here they are read with
PyTorch's restricted unpickler (``weights_only``), which knows tensors, plain containers and the
few NumPy and PyTorch types that sevenn's configs hold; every published SevenNet checkpoint loads
that way, and there is no fallback to the unrestricted one.
"""

import hashlib
import io
import json
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy._core.multiarray as multiarray
import sevenn
import sevenn._keys as KEY
import sevenn.util
import torch
from e3nn.o3 import wigner_3j
from sevenn.checkpoint import SevenNetCheckpoint, _config_cp_routine
from sevenn.model_build import build_E3_equivariant_model
from sevenn.nn.scale import get_resolved_shift_scale
from sevenn.nn.sequential import AtomGraphSequential

from irrepress.catalogue.checkpoints.sevennet import check_checkpoint
from irrepress.catalogue.families import is_path
from irrepress.core.errors import UserError, first_line, nearest
from irrepress.core.files import atomic_path
from irrepress.core.model import Model
from irrepress.families.generic.pickles import read_restricted
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


def resolve(source: str | Path) -> Path:
    """Return the path of a checkpoint given by sevenn's keyword or by its path.

    Keywords of checkpoints that are not part of the sevenn package make sevenn download them.

    Raises:
        UserError: neither a file nor a keyword, or the download failed.
    """
    if is_path(str(source)) and Path(source).exists():
        return Path(source)
    check_checkpoint(str(source))
    try:
        return Path(sevenn.util.pretrained_name_to_path(str(source)))
    # sevenn lets the errors of the network library, the disk and the progress bar through.
    except Exception as error:
        raise UserError(
            f"{source}: this checkpoint is not part of the sevenn package and its download failed "
            f"({first_line(error)}); download it by hand and give the path of the file"
        ) from error


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


def load(source: str | Path, modal: str | None, dtype: torch.dtype) -> Model:
    """Load a model by keyword or path; see `irrepress.core.family.Family.load`."""
    path = resolve(source)
    checkpoint = _Checkpoint(path, read(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = checkpoint.config
            with _float32_by_default():
                network = checkpoint.build_model()
    # A config or weights that are not sevenn's fail anywhere in its constructor.
    except Exception as error:
        raise UserError(
            f"{path}: sevenn {sevenn.__version__} cannot build the network of this checkpoint "
            f"({first_line(error)}); the file is damaged or of another version"
        ) from error
    check_modal(path, config, modal)
    return make_model(network.to(dtype), native_config(config), modal)


def check_modal(path: str | Path, config: dict[str, Any], modal: str | None) -> None:
    """Check that ``modal`` names one of the model's levels of theory, if it has several.

    Raises:
        UserError: the modal is missing, unknown or superfluous.
    """
    modals = list(config.get(KEY.MODAL_MAP) or {}) if config.get(KEY.USE_MODALITY) else []
    if modal is None and modals:
        raise UserError(f"{path}: this model needs a modal; choose one of {', '.join(modals)}")
    if modal is not None and not modals:
        raise UserError(f"{path}: this model has no modals; remove modal {modal!r}")
    if modal is not None and modal not in modals:
        raise UserError(f"{path}: unknown modal {modal!r}; {nearest(modal, modals)}")


def native_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return sevenn's config as plain data, without traces of the original training run."""
    plain = {
        key: _plain(value)
        for key, value in config.items()
        if key not in _RUN_KEYS and not key.endswith(("_path", "_cp"))
    }
    # Weights are always held in e3nn's order and in the order of convolution paths that sevenn
    # has used since 0.11; with an older version in the config it would sort them again.
    plain["version"] = sevenn.__version__
    plain[KEY.CUEQUIVARIANCE_CONFIG] = {"use": False}
    plain[KEY.USE_FLASH_TP] = False
    plain[KEY.USE_OEQ] = False
    return plain


def build(config: dict[str, Any]) -> AtomGraphSequential:
    """Build a network with random float32 weights from a config."""
    with warnings.catch_warnings(), _float32_by_default():
        warnings.simplefilter("ignore")
        return build_E3_equivariant_model(config)


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


def save(model: Model, path: str | Path) -> None:
    """Write a checkpoint of sevenn; equal weights and config give equal bytes."""
    state = {
        sys.intern(name): tensor.detach().to(
            device="cpu", dtype=torch.float32 if tensor.is_floating_point() else None, copy=True
        )
        for name, tensor in model.network.state_dict().items()
        if not _COPIED_CONSTANT.search(name)
    }
    # Pickles differ when equal strings are one object here and two there: _plain interns them.
    config = _plain(model.native)
    content = {
        "config": config,
        "epoch": 0,
        "model_state_dict": state,
        "optimizer_state_dict": {},
        "scheduler_state_dict": {},
        "time": "not recorded",
        "hash": _content_hash(config, state),
    }
    # torch.save writes a file's own name into it, but not a buffer's.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def record_shift_and_scale(model: Model) -> None:
    """Write the network's energy shift and scale into the model's config, by element."""
    shift, scale = get_resolved_shift_scale(
        model.network._modules[RESCALE],
        model.native[KEY.TYPE_MAP],
        model.native.get(KEY.MODAL_MAP),
    )
    model.native[KEY.SHIFT], model.native[KEY.SCALE] = _plain(shift), _plain(scale)


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


@contextmanager
def _float32_by_default() -> Iterator[None]:
    """Let sevenn build in float32: it mixes up types if PyTorch's default is another one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


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


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | float) or value is None:
        return value
    return sys.intern(str(value))


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
