"""Records of measurements on physics.

Nothing here needs PyTorch: the report reads these records in an environment without it.
"""

from typing import Annotated, Literal

from ase import units
from pydantic import Field

from irrepress.core.records import Record, RecordFile

# Limits on a run at constant energy. In 10 ps a drift as large as this one brings half as much
# energy as atoms have in motion at the temperature asked for; integrators lose far less.
DRIFT_TOLERANCE = 0.05
# Energy goes back and forth between motion and bonds; the sum of both may not move by more than
# this share of it. What a timestep of a twentieth of the fastest vibration leaves is below it.
FLUCTUATION_TOLERANCE = 0.2
# eV/atom. What sums in float32 are rounded by is no fluctuation, however little atoms feel.
_ROUND_OFF = 1e-5


class Trace(Record):
    """Energy and temperature along a run, thinned out.

    Attributes:
        picoseconds: times since the beginning of the run at constant energy.
        energy: total energy, less that at the beginning, in eV/atom.
        temperature: temperature in K.

    Example:
        >>> trace = Trace(picoseconds=[0.0, 0.1], energy=[0.0, 1e-5], temperature=[600.0, 310.0])
        >>> trace.energy[-1]
        1e-05
    """

    picoseconds: list[float]
    energy: list[float]
    temperature: list[float]


class MeasuredDynamics(RecordFile):
    """A run of molecular dynamics at constant energy (NVE): a file in the folder ``dynamics``.

    Values that need the whole run are None where it broke.

    Attributes:
        schema_version: version of the file.
        dataset: name of the dataset that the structure is from.
        source: where in it.
        formula: composition of what was run.
        atoms: number of atoms.
        wanted_temperature: temperature of the thermostat before the run, in K.
        timestep: in fs.
        steps: number of steps of the run that were asked for.
        equilibration: number of steps with the thermostat before it.
        seed: seed for velocities and thermostat.
        code: the code that computed forces, such as "sevenn 0.13.0".
        device: where it ran.
        threads: number of threads on the CPU.
        broke: what went wrong, and when; None for a run that stayed intact.
        drift: slope of the total energy in eV/atom/ps.
        fluctuation: standard deviation of the total energy about its slope in eV/atom.
        kinetic_fluctuation: standard deviation of the kinetic energy in eV/atom.
        temperature: mean temperature of the run in K.
        temperature_fluctuation: its standard deviation in K.
        steps_per_second: speed of the run, all that a step takes.
        trace: energy and temperature along the run, as far as it came.

    Example:
        >>> run = MeasuredDynamics(
        ...     dataset="silicon", source="structure 3 (test split)", formula="Si64", atoms=64,
        ...     wanted_temperature=300, timestep=1, steps=1000, equilibration=200, seed=1,
        ...     code="sevenn 0.13.0", device="cpu", threads=1, broke=None, drift=1e-5,
        ...     fluctuation=1e-4, kinetic_fluctuation=2e-3, temperature=310.0,
        ...     temperature_fluctuation=16.0, steps_per_second=40.0,
        ...     trace={"picoseconds": [0, 1], "energy": [0, 1e-5], "temperature": [300, 310]},
        ... )
        >>> run.failures()
        []
    """

    schema_version: Literal[1] = 1
    dataset: str
    source: str
    formula: str
    atoms: Annotated[int, Field(gt=0)]
    wanted_temperature: float
    timestep: float
    steps: int
    equilibration: int
    seed: int
    code: str
    device: str
    threads: int
    broke: str | None
    drift: float | None
    fluctuation: float | None
    kinetic_fluctuation: float | None
    temperature: float | None
    temperature_fluctuation: float | None
    steps_per_second: float | None
    trace: Trace

    @property
    def picoseconds(self) -> float:
        """Length of the run that was asked for."""
        return self.steps * self.timestep / 1000

    def failures(self) -> list[str]:
        """Return what speaks against dynamics with the model; nothing if all is well."""
        if self.broke is not None:
            return [self.broke]
        found = []
        motion = 1.5 * units.kB * self.wanted_temperature  # eV/atom, mean kinetic energy
        most = DRIFT_TOLERANCE * motion
        if self.drift is None or not abs(self.drift) <= most:
            found.append(
                f"the energy drifts by {_milli(self.drift)} meV/atom/ps, {_milli(most)} is allowed"
            )
        kinetic = self.kinetic_fluctuation
        allowed = None if kinetic is None else max(FLUCTUATION_TOLERANCE * kinetic, _ROUND_OFF)
        if self.fluctuation is None or allowed is None or not self.fluctuation <= allowed:
            found.append(
                f"the energy fluctuates by {_milli(self.fluctuation)} meV/atom, {_milli(allowed)} "
                "is allowed"
            )
        return found


def _milli(value: float | None) -> str:
    return "no value" if value is None else f"{1e3 * value:.2g}"
