"""Reading and writing fairchem's inference checkpoints.

Checkpoints are pickles, which can run any code when they are loaded. Here they are read with
PyTorch's restricted unpickler (``weights_only``), which knows tensors, plain containers,
fairchem's record of a checkpoint and OmegaConf's containers; there is no fallback to the
unrestricted one. The configs in a checkpoint name classes to be built, too: only those named in
`irrepress.families.escn.canonical` are. fairchem itself loads the same files without either care.
"""

import collections
import logging
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import omegaconf
import torch
from ase.calculators.calculator import Calculator
from fairchem.core import FAIRChemCalculator
from fairchem.core.models.base import HydraModel
from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint
from omegaconf import OmegaConf
from torch import Tensor

from irrepress.catalogue.checkpoints.escn import check_checkpoint
from irrepress.core.errors import UserError, explained
from irrepress.core.model import Model
from irrepress.families.escn.canonical import backbone_of, canonical, has_experts
from irrepress.families.escn.classes import check_classes
from irrepress.families.escn.tasks import choose_dataset
from irrepress.families.escn.untrained import ARCHITECTURES
from irrepress.families.generic.building import building, seeded
from irrepress.families.generic.checkpoints import (
    cache_directory,
    float32_state,
    pickled,
    plain,
    read_restricted,
)
from irrepress.families.registry import get_family

_SAFE_TYPES: list[Any] = [
    MLIPInferenceCheckpoint,
    omegaconf.DictConfig,
    omegaconf.ListConfig,
    omegaconf.AnyNode,
    omegaconf.base.ContainerMetadata,
    omegaconf.base.Metadata,
    collections.defaultdict,
    typing.Any,
    dict,
    list,
    int,
    float,
    str,
    bool,
    torch.device,
]
# Where a saved file says which elements the model was restricted to; fairchem does not look.
_ELEMENTS = "known_elements"
# Buffers that follow from the sizes of the network; the constructor sets them.
_CONSTANT = re.compile(r"\.(Jd_\d+$|wigner_data\.|mappingReduced\.|SO3_grid\.)|(offset|index)$")


# The inference settings of fairchem's calculator: the only ones that take structures of any
# composition, and that compile nothing.
SETTINGS = "batch"


def fetch(keyword: str, licence: str | None = None) -> Path:
    """Return the untrained model that a keyword stands for, made at the first call.

    Raises:
        UserError: no such keyword.
    """
    check_checkpoint(keyword)
    path = cache_directory() / f"{keyword}.pt"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with seeded(0):
            build(ARCHITECTURES[keyword]).save(path)
    return path


def read(path: Path) -> MLIPInferenceCheckpoint:
    """Read a checkpoint without running code from it; its configs become plain data.

    Raises:
        UserError: not readable, truncated, or not an inference checkpoint of fairchem 2.
    """
    content = read_restricted(path, _SAFE_TYPES, "a checkpoint of fairchem", _not_escn)
    if not isinstance(content, MLIPInferenceCheckpoint):
        raise _not_escn(path, _describe(content))
    for key in ("model_config", "tasks_config"):
        setattr(content, key, plain(_contained(getattr(content, key, None))))
    if not isinstance(content.tasks_config, list) or not all(
        isinstance(task, dict) and isinstance(task.get("datasets"), list)
        for task in content.tasks_config
    ):
        raise _not_escn(path, "its tasks are not a list that names datasets")
    return content


def weights(path: Path, content: MLIPInferenceCheckpoint) -> dict[str, Tensor]:
    """Return the weights that fairchem predicts with, the running mean, by the network's names."""
    state = getattr(content, "ema_state_dict", None) or getattr(content, "model_state_dict", None)
    if not isinstance(state, Mapping) or not state:
        raise _not_escn(path, "it has no weights")
    named = ((re.sub(r"^(module\.)+", "", name), tensor) for name, tensor in state.items())
    return {name: tensor for name, tensor in named if name != "n_averaged"}


def load(path: Path, modal: str | None, dtype: torch.dtype) -> Model:
    """Load a model for one task; see `irrepress.core.family.Family.load`."""
    content = read(path)
    if has_experts(backbone_of(path, content.model_config)):
        raise UserError(
            f"{path}: is a mixture of experts, which is one network for one composition only; "
            f"merge it first: irrepress merge {path} merged.pt --formula FORMULA --modal TASK"
        )
    return convert(path, content, weights(path, content), modal, dtype)


def convert(
    source: object,
    content: MLIPInferenceCheckpoint,
    state: Mapping[str, Tensor],
    modal: str | None,
    dtype: torch.dtype,
) -> Model:
    """Make a model of a checkpoint whose experts are merged.

    Raises:
        UserError: it is not supported, or its weights do not fit its config.
    """
    native, state = canonical(source, content.model_config, content.tasks_config, state, modal)
    known = getattr(content, _ELEMENTS, None)
    numbers = native["model_config"]["backbone"]["max_num_elements"]
    native["elements"] = plain(_contained(known)) if known else list(range(1, numbers))
    problem = f"{source}: fairchem cannot build the network of this checkpoint"
    # A config or weights that are not fairchem's fail anywhere in its constructors.
    with explained(problem, "the file is damaged or of another version"):
        network = _construct(native)
        missing, unexpected = network.load_state_dict(state, strict=False)
    wrong = [name for name in (*missing, *unexpected) if not _CONSTANT.search(name)]
    if wrong:
        raise UserError(
            f"{source}: the weights do not fit the config ({wrong[0]} is missing or superfluous); "
            "the file is damaged or of another version"
        )
    return make_model(network.to(dtype), plain(native), modal)


def calculator(path: Path, device: str, modal: str | None) -> Calculator:
    """Return fairchem's own calculator; the file is checked first, as in `load`."""
    content = read(path)
    check_classes(path, content.model_config, content.tasks_config)
    modal = choose_dataset(path, content.tasks_config, modal)
    with unlogged():
        return FAIRChemCalculator.from_model_checkpoint(
            str(path), task_name=modal, inference_settings=SETTINGS, device=device
        )


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep the level of what is logged, which fairchem sets for the whole process."""
    level = logging.root.level
    try:
        yield
    finally:
        logging.root.setLevel(level)


def build(
    native: Mapping[str, Any], *, modal: str | None = None, dtype: torch.dtype = torch.float32
) -> Model:
    """Build a model; see `irrepress.core.family.Family.build`."""
    config, tasks = plain(native["model_config"]), plain(native["tasks_config"])
    whole, _ = canonical("config", config, tasks, {}, modal)
    whole = plain({**whole, "elements": native["elements"]})
    return make_model(_construct(whole).to(dtype), whole, modal)


def make_model(network: HydraModel, native: dict[str, Any], modal: str | None) -> Model:
    """Wrap a network and its config, in evaluation mode."""
    _restore_double_constants(network)
    backbone = native["model_config"]["backbone"]
    return Model(
        network,
        family=get_family("escn"),
        native=native,
        cutoff=float(backbone["cutoff"]),
        elements=native["elements"],
        modal=modal,
    ).eval()


def content(model: Model, dtype: torch.dtype | None = None) -> bytes:
    """Return the content of an inference checkpoint, in float32, its only type."""
    state = float32_state(model.network)
    # The running mean and the weights are one and the same; the file holds them once.
    averaged = {sys.intern(f"module.{name}"): tensor for name, tensor in state.items()}
    averaged["n_averaged"] = torch.tensor(0)
    native = plain(model.native)
    checkpoint = MLIPInferenceCheckpoint(
        model_config=native["model_config"],
        model_state_dict=state,
        ema_state_dict=averaged,
        tasks_config=native["tasks_config"],
    )
    setattr(checkpoint, _ELEMENTS, native["elements"])
    return pickled(checkpoint)


def _contained(value: Any) -> Any:
    """Return a config without OmegaConf's containers."""
    if isinstance(value, omegaconf.Container):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {key: _contained(item) for key, item in value.items()}
    return [_contained(item) for item in value] if isinstance(value, list) else value


def _construct(native: Mapping[str, Any]) -> HydraModel:
    """Build a network in float32, whatever PyTorch's default is."""
    config = {key: value for key, value in native["model_config"].items() if key != "_target_"}
    with building():
        return HydraModel(**config)


def _restore_double_constants(network: HydraModel) -> None:
    """Recompute the weights of orders in the norms of a float64 network, in place.

    fairchem computes them in float32. Widened, they stay rounded, and differ between a network
    and one with fewer orders by 1e-8.
    """
    for name, buffer in network.named_buffers():
        if name.endswith("balance_degree_weight") and buffer.dtype == torch.float64:
            lmax = round(len(buffer) ** 0.5) - 1
            sizes = torch.tensor([2 * degree + 1 for degree in range(lmax + 1)])
            exact = (1 / sizes.double()).repeat_interleave(sizes) / (lmax + 1)
            buffer.copy_(exact[:, None])


def _describe(content: Any) -> str:
    """Say what a PyTorch file that is not ours holds."""
    if isinstance(content, dict):
        if "config" in content and "model_state_dict" in content:
            return "it is one of SevenNet: set family: sevennet"
        if "state_dict" in content and ("normalizers" in content or "config" in content):
            return (
                "it is one of fairchem 1, whose eSCN predicts forces directly; irrepress takes the "
                "conservative eSCN-MD of fairchem 2"
            )
    return f"it holds a {type(content).__name__}"


def _not_escn(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: not an inference checkpoint of fairchem 2 ({reason}); give a file such as UMA's "
        "or eSEN's, or one that irrepress saved"
    )
