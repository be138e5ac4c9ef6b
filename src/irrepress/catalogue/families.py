"""The families, with information that needs neither torch nor their packages.

A new family is a line in the tables here and in `irrepress.catalogue.families`, and one package.
"""

import importlib
import importlib.util
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from irrepress.catalogue.entry import Licence, RemoteFile
from irrepress.core.errors import UserError, nearest
from irrepress.core.target import Explicit

# family name -> packages that it needs in addition to those of irrepress
_PACKAGES = {"escn": ("fairchem.core",), "mace": ("mace",), "sevennet": ("sevenn",)}
# family name -> module that imports neither torch nor the family's packages, with
# `check_checkpoint`, `CHECKPOINTS` (keyword -> what has a `file` and a `licence`), where they are
# downloaded, or else `KEYWORDS`; and `SPELLINGS` (other spelling -> keyword), `MODALS` (keyword ->
# levels of theory) and `shapes()`, where there are any, `SETTINGS` of untrained models,
# `NUMBER_TYPES`, `SHORTENS_CUTOFF` and `DROPS_LAYERS`
_CATALOGUES = {name: f"irrepress.catalogue.checkpoints.{name}" for name in _PACKAGES}
# family name -> module and call of the calculator of the family's own package, and its keyword for
# the modal
_CALCULATORS = {
    "escn": (
        "fairchem.core",
        'FAIRChemCalculator.from_model_checkpoint({}, inference_settings="batch")',
        "task_name",
    ),
    "mace": ("mace.calculators", "MACECalculator({})", "head"),
    "sevennet": ("sevenn.calculator", "SevenNetCalculator({})", "modal"),
}


def family_names() -> list[str]:
    """Return the names of all known families, installed or not."""
    return sorted(_PACKAGES)


def needed_packages(name: str) -> tuple[str, ...]:
    """Return the packages that a family needs in addition to those of irrepress."""
    if name not in _PACKAGES:
        raise UserError(f"unknown family {name!r}; {nearest(name, _PACKAGES)}")
    return _PACKAGES[name]


def missing_packages(name: str) -> list[str]:
    """Return the packages of a family that are not installed."""
    return [package for package in needed_packages(name) if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # its parent package is missing
        return False
    # A folder of the same name in the working directory is also found, but has no file.
    return spec is not None and spec.origin is not None


def is_path(checkpoint: str) -> bool:
    """Return whether a checkpoint is given by path, not by a family's keyword."""
    path = Path(checkpoint)
    return path.is_file() or len(path.parts) > 1 or checkpoint.endswith(os.sep) or path.suffix != ""


def check_keyword(name: str, keyword: str, accepted: str | None) -> None:
    """Check a keyword of a family, and that a restrictive licence was accepted.

    The family's packages need not be installed.

    Args:
        name: name of the family.
        keyword: keyword of a checkpoint, not a path.
        accepted: name of the licence that the user accepts, if any.

    Raises:
        UserError: if the licence was not accepted or the family has no such keyword.
    """
    _catalogue(name).check_checkpoint(keyword, accepted)


def canonical_keyword(name: str, keyword: str) -> str:
    """Return the canonical spelling of a keyword.

    Args:
        name: name of the family, which may be unknown.
        keyword: keyword of a checkpoint, not a path.
    """
    spellings = getattr(_catalogue(name), "SPELLINGS", {}) if name in _CATALOGUES else {}
    return str(spellings.get(keyword.lower(), keyword.lower()))


def family_of_keyword(keyword: str) -> str:
    """Return the family of a keyword, installed or not.

    Raises:
        UserError: if no family has this keyword.
    """
    known = {name: _keywords(name) for name in family_names()}
    for name, keywords in known.items():
        if canonical_keyword(name, keyword) in keywords:
            return name
    everything = [each for keywords in known.values() for each in keywords]
    raise UserError(
        f"{keyword}: neither a file nor a keyword of a checkpoint; {nearest(keyword, everything)}"
    )


def published_checkpoint(name: str, keyword: str) -> tuple[RemoteFile, Licence] | None:
    """Return file and licence of a keyword whose checkpoint is downloaded, otherwise None.

    Args:
        name: name of the family.
        keyword: keyword of a checkpoint, not a path.
    """
    found = _published(name).get(keyword.lower())
    return None if found is None else (found.file, found.licence)


def find_checkpoint_file(name: str, file: str) -> RemoteFile | None:
    """Return the published checkpoint of a family with a given file name, if any."""
    return next((each.file for each in _published(name).values() if each.file.name == file), None)


def known_modals(name: str, keyword: str) -> tuple[str, ...] | None:
    """Return the levels of theory of a keyword's model, empty if there is only one.

    Args:
        name: name of the family.
        keyword: keyword of a checkpoint, not a path.

    Returns:
        The levels of theory; None if they are unknown without the file.
    """
    modals: Mapping[str, tuple[str, ...]] = getattr(_catalogue(name), "MODALS", {})
    return modals.get(canonical_keyword(name, keyword))


def check_settings(name: str, settings: Iterable[str]) -> None:
    """Check the names of the settings of an untrained model.

    Args:
        name: name of the family.
        settings: names of the settings in the config.

    Raises:
        UserError: if one is unknown.
    """
    known = _catalogue(name).SETTINGS
    for setting in settings:
        if setting not in known:
            raise UserError(
                f"untrained.{setting}: not a setting of the family {name}; "
                f"{nearest(setting, known)}"
            )


def number_types(name: str) -> tuple[str, ...]:
    """Return the dtypes that a family's files support."""
    return tuple(_catalogue(name).NUMBER_TYPES)


def check_number_type(name: str, dtype: str, source: str) -> None:
    """Check that a family's files support a dtype.

    Args:
        name: name of the family.
        dtype: name of the dtype, such as ``float64``.
        source: the option that requests it, with which the message begins.

    Raises:
        UserError: if they do not.
    """
    if dtype not in (known := number_types(name)):
        raise UserError(
            f"{source}: files of the family {name} only support {' and '.join(known)}, not {dtype}"
        )


def shortens_cutoff(name: str) -> bool:
    """Return whether the cutoff of a family's models can be shortened."""
    return bool(_catalogue(name).SHORTENS_CUTOFF)


def drops_layers(name: str) -> bool:
    """Return whether a family's models can be built with fewer layers."""
    return bool(_catalogue(name).DROPS_LAYERS)


def named_shapes(name: str) -> Mapping[str, Explicit]:
    """Return named target shapes for plans, such as those of official models."""
    shapes = getattr(_catalogue(name), "shapes", None)
    return {} if shapes is None else shapes()


def loading_line(name: str, path: str | Path, modal: str | None = None) -> str:
    """Return a line of Python that sets a model file as the calculator of ASE's ``atoms``.

    It imports the family's own package, not irrepress.

    Args:
        name: name of the family.
        path: path of a model in the family's native format.
        modal: level of theory or head of a model with several.

    >>> loading_line("sevennet", "model.pt")
    "from sevenn.calculator import SevenNetCalculator; atoms.calc = SevenNetCalculator('model.pt')"
    """
    module, call, keyword = _CALCULATORS[name]
    arguments = repr(str(path)) + (f", {keyword}={modal!r}" if modal else "")
    imported = call.split("(")[0].split(".")[0]
    return f"from {module} import {imported}; atoms.calc = {call.format(arguments)}"


def _catalogue(name: str) -> ModuleType:
    return importlib.import_module(_CATALOGUES[name])


def _keywords(name: str) -> Collection[str]:
    return getattr(_catalogue(name), "KEYWORDS", _published(name))


def _published(name: str) -> Mapping[str, Any]:
    return getattr(_catalogue(name), "CHECKPOINTS", {}) if name in _CATALOGUES else {}
