"""What a file that should hold a MACE model really holds, told without unpickling it.

A ``.model`` is a pickle of a whole module. The names that it would import are read here, so that
files of other kinds are refused with the mend. That nothing but a model's own names is ever
imported is the work of `irrepress.families.mace.unpickling`.
"""

import io
import pickletools
import sys
import zipfile
from pathlib import Path

from irrepress.core.errors import UserError
from irrepress.families.mace.config import MODELS
from irrepress.families.mace.package import mace_version

# Package of an accelerator -> mace's converter back to e3nn.
_ACCELERATORS = {
    "cuequivariance": "mace_cueq_to_e3nn",
    "openequivariance": "python -m mace.cli.convert_oeq_e3nn",
}
_ROOTS = tuple(f"mace.modules.models {name}" for name in MODELS)


def check_content(path: Path, content: bytes) -> None:
    """Check that a file holds a native MACE model that this environment can load.

    Args:
        path: what messages call the file.
        content: its bytes.

    Raises:
        UserError: it is damaged or of another kind; the message names the kind and the mend.
    """
    try:
        names, texts = _names(_read_pickle(path, content))
    except UserError:
        raise
    except Exception as error:  # damaged pickles fail in many ways
        raise damaged(path, str(error)) from error
    for package, converter in _ACCELERATORS.items():
        if any(name.startswith(package) for name in names):
            raise UserError(
                f"{path}: the model was converted for {package}, which other software cannot "
                f"change; convert it back with mace's own {converter} and give the result"
            )
    if not names or names[0] not in _ROOTS:
        raise UserError(f"{path}: not a native MACE model: {_kind(names, texts)}")
    for name in names:
        module, _, attribute = name.partition(" ")
        # What mace itself has imported; nothing is imported because a file says so.
        known = hasattr(sys.modules.get(module), attribute)
        if module.split(".")[0] == "mace" and not known:
            raise UserError(
                f"{path}: the model uses {attribute} of {module}, which mace-torch "
                f"{mace_version} does not have; irrepress supports models of published "
                "architectures, written with mace's own classes"
            )


def _read_pickle(path: Path, content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            found = [name for name in names if name.endswith("/data.pkl")]
            if len(found) != 1:
                raise damaged(path, "it has no data.pkl")
            return archive.read(found[0])
    except (zipfile.BadZipFile, OSError, EOFError, KeyError) as error:
        raise damaged(path, str(error)) from error


def _names(content: bytes) -> tuple[list[str], set[str]]:
    """Return what a pickle would import, in order, and all short texts in it."""
    names: list[str] = []
    texts: list[str] = []
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("GLOBAL", "INST"):
            names.append(str(argument))
        elif operation.name == "STACK_GLOBAL":
            names.append(" ".join(texts[-2:]))
        elif isinstance(argument, str) and "UNICODE" in operation.name:
            texts.append(argument)
    return names, {text for text in texts if len(text) < 100}


def _kind(names: list[str], texts: set[str]) -> str:
    """Describe what a pickle holds instead of a model, and the mend."""
    if {"model_state_dict", "config"} <= texts:
        return "it is a checkpoint of SevenNet; set family: sevennet"
    if {"model", "optimizer", "lr_scheduler"} <= texts:
        return (
            "it is the checkpoint of a training run, which holds weights but no architecture; give "
            "the .model file that mace_run_train writes at the end (it makes one of its last "
            "checkpoint when it is started again with the same arguments)"
        )
    if any(name.endswith("LAMMPS_MLIAP_MACE") for name in names):
        return "it was exported for ML-IAP of LAMMPS; give the .model file it was made from"
    holds = names[0].replace(" ", ".") if names else "plain data"
    return f"it holds {holds}; give a .model file of MACE or ScaleShiftMACE"


def damaged(path: Path, reason: str) -> UserError:
    """Return the message of a file that cannot be read."""
    return UserError(
        f"{path}: cannot be read as a MACE model ({reason}); the file is damaged, truncated or of "
        "another kind: copy or download it again"
    )
