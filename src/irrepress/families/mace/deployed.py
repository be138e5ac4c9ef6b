"""MACE models in the forms of other runtimes: for LAMMPS by TorchScript and ML-IAP, symmetrix."""

import contextlib
import importlib.util
import io
import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from irrepress.core.errors import UserError, explained
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.mace.config import read_config
from irrepress.families.mace.groups import HIDDEN
from irrepress.families.mace.package import LAMMPS_MACE, compile_module

# What symmetrix-xl 0.1.1 takes, by key of MACE's constructor.
_MAX_ELL, _CORRELATION, _LAYERS = 3, 3, 2
_INTERACTIONS = (
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
)


def write_own_torchscript(model: Model, path: Path) -> None:
    """Write what ``mace_create_lammps_model`` writes, for ``pair_style mace``."""
    with (
        tempfile.TemporaryDirectory(prefix="irrepress-") as folder,
        explained("torchscript: mace-torch cannot write this model", "deploy it as native"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        # The wrapper freezes the parameters of its network: it gets one of its own.
        copy = Path(folder) / "model.pt"
        model.save(copy)
        network = model.family.load(copy, modal=model.modal, dtype=model.dtype).network
        head = {} if model.modal is None else {"head": model.modal}
        compile_module(LAMMPS_MACE(network, **head)).save(str(path))


def mliap_refusals(model: Model, *, cuequivariance: bool) -> list[str]:
    """Return what mace's conversion to cuEquivariance does not take; see `WritesMLIAP`."""
    kind = read_config(model.network)["model"]
    if cuequivariance and kind != "ScaleShiftMACE":
        return [f"mace converts no models of the class {kind} to cuEquivariance"]
    return []


def mliap_notes(*, cuequivariance: bool) -> list[str]:
    """Say whose operations the file runs; see `WritesMLIAP`."""
    return [f"ML-IAP by mace-torch with {'cuEquivariance' if cuequivariance else 'e3nn'}"]


def write_mliap(model: Model, path: Path, *, cuequivariance: bool) -> None:
    """Write what ``mace_create_lammps_model --format=mliap`` writes; see `WritesMLIAP`.

    That command always converts to cuEquivariance, as is done here where it is asked for.
    """
    with (
        tempfile.TemporaryDirectory(prefix="irrepress-") as folder,
        explained("mliap: mace-torch cannot write this model", "deploy it as native"),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        from mace.calculators.lammps_mliap_mace import LAMMPS_MLIAP_MACE

        copy = Path(folder) / "model.pt"
        model.save(copy)
        # mace's own classes, which users unpickle without irrepress; the file was written here.
        network = torch.load(copy, map_location="cpu", weights_only=False).to(model.dtype)
        if cuequivariance:
            network = _with_cuequivariance(network)
        network.lammps_mliap = True
        head = {} if model.modal is None else {"head": model.modal}
        torch.save(LAMMPS_MLIAP_MACE(network, **head), path)


def _with_cuequivariance(network: torch.nn.Module) -> torch.nn.Module:
    """Return a network converted by mace, which leaves its own default dtype behind."""
    from mace.cli.convert_e3nn_cueq import run

    before = torch.get_default_dtype()
    try:
        return run(network)
    finally:
        torch.set_default_dtype(before)


def symmetrix_refusals(model: Model) -> list[str]:
    """Return what of an architecture symmetrix does not take; see `WritesSymmetrix`."""
    config = read_config(model.network)
    found = []
    if config["model"] != "ScaleShiftMACE":
        found.append(f"the class {config['model']} (it takes ScaleShiftMACE)")
    if config["num_interactions"] != _LAYERS:
        count = config["num_interactions"]
        found.append(f"{count} layer{'s' * (count > 1)} (it takes {_LAYERS})")
    if config["max_ell"] != _MAX_ELL:
        found.append(f"max_ell {config['max_ell']} (it takes {_MAX_ELL})")
    if set(config["correlation"]) != {_CORRELATION}:
        orders = ", ".join(map(str, config["correlation"]))
        found.append(f"correlation {orders} (it takes {_CORRELATION} in both layers)")
    for key in ("interaction_cls_first", "interaction_cls"):
        if config[key] not in _INTERACTIONS:
            found.append(f"{key} {config[key]}")
    if config["edge_irreps"] is not None:
        found.append(f"edge_irreps {config['edge_irreps']} (it takes those of the features)")
    for key, known in (("radial_type", "bessel"), ("apply_cutoff", True), ("gate", "silu")):
        if config[key] != known:
            found.append(f"{key} {config[key]} (it takes {known})")
    if config["distance_transform"] == "Soft":
        found.append("distance_transform Soft (it takes None and Agnesi)")
    return found


def symmetrix_groups(groups: Sequence[Group]) -> list[Group]:
    """Keep orders of filter and products, and messages as wide as features; `WritesSymmetrix`."""
    found = []
    for group in groups:
        if group.axis in ("order", "correlation"):
            group = replace(group, floor=group.channels)
        elif group.sized_like and group.width != HIDDEN:
            group = replace(group, follows=HIDDEN)
        found.append(group)
    return found


def write_symmetrix(model: Model, path: Path) -> None:
    """Write the compact JSON of symmetrix's own extractor; see `WritesSymmetrix`."""
    if importlib.util.find_spec("symmetrix") is None:
        raise UserError(
            "symmetrix: the package symmetrix-xl is not installed in this Python; install it with: "
            "pip install 'irrepress[symmetrix]'"
        )
    from symmetrix.extract_mace_data import extract_mace_data

    mend = "deploy it as native or torchscript, or take a plan that leaves what symmetrix takes"
    if refusals := symmetrix_refusals(model):
        raise UserError(f"symmetrix: does not take {'; '.join(refusals)}; {mend}")
    with (
        tempfile.TemporaryDirectory(prefix="irrepress-") as folder,
        explained("symmetrix: its extractor refuses this model", mend),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        native = Path(folder) / "model.pt"
        model.save(native)
        content = extract_mace_data(str(native), head=model.modal)
        path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
