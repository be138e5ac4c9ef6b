"""Settings of a validation: what is measured beside the parent, for how long, and how well."""

from typing import Annotated

from pydantic import Field

from irrepress.core.section import (
    EACH_ONCE,
    Integer,
    Name,
    Number,
    Section,
    Temperature,
    TimeStep,
)


def _tolerance(default: float, most: float, description: str) -> float:
    return Field(default, gt=0, le=most, description=description)


class Tolerances(Section):
    """How far a model may be from its parent.

    Where the parent does not keep a limit itself (drift, excursion), half as much again as the
    parent is allowed; where a comparison is limited by statistics (RDF, diffusion, volume), what
    the two halves of the parent's own run differ by is allowed as well.

    Example:
        >>> Tolerances(forces=1.5).bulk_modulus
        5.0
    """

    forces: Number = _tolerance(
        4.0, 1000, "Mean error of forces on new dynamics, in % of the mean force."
    )
    energy: Number = _tolerance(0.3, 1e6, "Mean absolute error of energies, in meV/atom.")
    stress: Number = _tolerance(0.03, 1e6, "Mean absolute error of stress components, in GPa.")
    drift: Number = _tolerance(0.1, 1e6, "Drift of the energy in NVE, in meV/atom/ps.")
    excursion: Number = _tolerance(
        2.0, 1e6, "Largest distance of the energy in NVE from its line, in meV/atom."
    )
    rdf: Number = _tolerance(
        3.0, 200, "Integrated absolute difference of radial distribution functions, in %."
    )
    diffusion: Number = _tolerance(50.0, 1e6, "Difference of diffusion coefficients, in %.")
    volume: Number = _tolerance(1.0, 1000, "Difference of the mean volume in NPT, in %.")
    bonds: Number = _tolerance(
        0.02, 10, "Mean difference of the distances of neighbours once relaxed, in Å."
    )
    cell: Number = _tolerance(
        0.5, 100, "Largest difference of the lengths of the relaxed cell, in %."
    )
    angles: Number = _tolerance(0.5, 180, "Largest difference of its angles, in degrees.")
    bulk_modulus: Number = _tolerance(5.0, 1000, "Difference of the bulk modulus, in %.")
    elastic: Number = _tolerance(
        10.0, 1000, "Mean difference of elastic constants, in % of their mean size."
    )
    phonons: Number = _tolerance(
        5.0, 1000, "Mean absolute difference of phonon frequencies, in % of their mean."
    )
    imaginary: Number = _tolerance(
        0.2, 100, "Frequencies below minus this are imaginary modes, in THz."
    )
    hole: Number = _tolerance(
        0.1, 1000, "By how much the energy of two atoms that approach may fall, in eV."
    )
    extensivity: Number = _tolerance(
        0.05, 1e6, "Energy of two copies less twice that of one, in meV/atom."
    )
    smoothness: Number = _tolerance(
        1.0, 1e6, "Energy that no force explains while an atom crosses the cutoff, in meV."
    )


class ValidationSettings(Section):
    """What is measured beside the parent on some structures.

    Example:
        >>> ValidationSettings(temperatures=[300, 900]).minutes
        5.0
    """

    temperatures: Annotated[list[Temperature], EACH_ONCE, Field(min_length=1)] = Field(
        [300.0], max_length=10, description="Of dynamics, in K."
    )
    structures: Integer = Field(
        3,
        gt=0,
        le=100,
        description="At most so many structures, of different compositions where there are; the "
        "time is shared among them.",
    )
    minutes: Number = Field(
        5.0,
        gt=0,
        le=100_000,
        description="Time limit for all checks of one model. A check that its share does not "
        "suffice for is not done; dynamics, their equilibration included, become shorter, and the "
        "record says so.",
    )
    parent_minutes: Number = Field(
        15.0,
        gt=0,
        le=100_000,
        description="The same for the parent, which is slower and measured once.",
    )
    picoseconds: Number = Field(
        20.0, gt=0, le=1e6, description="Length of dynamics with a thermostat, if time suffices."
    )
    nve_picoseconds: Number = Field(
        3.0, gt=0, le=1e6, description="Length of dynamics at constant energy, if time suffices."
    )
    equilibration_picoseconds: Number = Field(
        0.3, gt=0, le=1e6, description="Length of the run with a strong thermostat before both."
    )
    timestep: TimeStep | None = Field(
        None,
        description="In fs. null: 0.5 with hydrogen, otherwise 1; twice as much with a thermostat.",
    )
    frames: Integer = Field(
        20,
        gt=0,
        le=1000,
        description="Frames of the parent's dynamics at each temperature, on which errors are "
        "measured.",
    )
    atoms: Integer = Field(
        40,
        gt=0,
        le=100_000,
        description="Periodic structures are repeated to at least this size for dynamics.",
    )
    phonon_atoms: Integer = Field(
        120, gt=0, le=10_000, description="Largest supercell for phonons."
    )
    tolerances: Tolerances = Tolerances()


class Validation(ValidationSettings):
    """Proof beside the parent of the models that a study ends at.

    Example:
        >>> Validation(dataset="cell", temperatures=[300, 900]).structures
        3
    """

    dataset: Name = Field(description="Dataset whose structures are measured.")
