"""Notes on labels that differ between several keys."""

from typing import Any

import numpy as np

from irrepress.core.errors import UserError
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.keys import Roles
from irrepress.data.formats.values import same, voigt
from irrepress.data.units import VOIGT, Factors

_SAME_STRESS = 1e-4  # eV/Å^3


def note_competing(
    frame: Frame, roles: Roles, name: str, taken: str, value: Any, factors: Factors
) -> None:
    """Note further labels of the same kind that differ from the one taken.

    Args:
        frame: the frame, to whose notes they are added.
        roles: roles of its keys.
        name: ``energy``, ``forces`` or ``stress``.
        taken: key of the label taken.
        value: the label under this key, in the units of the source.
        factors: conversion factors from the units of the source.
    """
    atoms = len(frame.numbers)
    others = {key: frame.fields[key] for key in roles.others[name]}
    if (alias := roles.alias.get(name, taken)) != taken:
        others[alias] = frame.fields[alias]
    for key, other in others.items():
        if np.size(other) == np.size(value) and not same(value, other):
            _note(frame, name, taken, key)
    virial = roles.virial
    if name == "stress" and virial is not None and virial != taken:
        _compare_virial(frame, taken, value, virial, factors)
    if name != "energy":
        return
    for key in roles.per_atom:
        if np.size(frame.fields[key]) == 1 and not same(value, frame.fields[key], atoms, atoms):
            _note(frame, name, taken, f"{key} times the number of atoms")
    free = free_energy(frame, roles)
    if free is not None and not same(value, free[1], atoms):
        frame.notes.append(
            f"energy taken from {taken!r}, though {free[0]!r}, which forces belong to where "
            f"there is smearing, differs; set keys.energy: {free[0]} to take that, or "
            f"keys.energy: {taken} if this is meant"
        )


def _note(frame: Frame, name: str, taken: str, other: str) -> None:
    frame.notes.append(
        f"{name} taken from {taken!r}, though {other!r} differs from it; set keys.{name} to "
        "the one that is meant"
    )


def _compare_virial(frame: Frame, taken: str, value: Any, virial: str, factors: Factors) -> None:
    """Note a virial that is not -stress × volume."""
    cell = np.asarray(frame.cell, dtype=np.float64) * factors.length
    to_ours = (factors.stress, factors.virial(cell))
    if not np.isfinite(to_ours).all():
        return
    try:
        one, other = (
            voigt(label, factor, VOIGT, frame.where)
            for label, factor in zip((value, frame.fields[virial]), to_ours, strict=True)
        )
    except UserError:
        return  # errors in the label taken are reported where it is read
    if np.abs(one - other).max() > max(_SAME_STRESS, 1e-2 * np.abs(other).max()):
        _note(frame, "stress", taken, virial)


def free_energy(frame: Frame, roles: Roles) -> tuple[str, Any] | None:
    """Return key and value of the free energy, to which forces belong if there is smearing."""
    if frame.results.get("free_energy") is not None:
        return "free_energy", frame.results["free_energy"]
    return next(
        ((key, frame.fields[key]) for key in roles.free if np.size(frame.fields[key]) == 1), None
    )
