"""Records of the checks of a model, and whether it passed them.

Nothing here needs PyTorch: the report reads these records in an environment without it.
"""

import math

from irrepress.core.records import Record

# Limits on deviations in float64, relative to the largest force. Symmetries hold up to round-off;
# central differences are limited by their step of 1e-4 Å.
SYMMETRY_TOLERANCE = 1e-9
FINITE_DIFFERENCE_TOLERANCE = 1e-3


class Deviations(Record):
    """Deviations of one code from its symmetries, and of its forces from its energy.

    All are relative to the largest force. None means that a check has no value and so is not
    passed, except for `inversion` if the model claims no such symmetry (`Checks.reflections`).

    Attributes:
        code: the code that was run, such as "sevenn 0.13.0".
        rotation: deviation of the largest force component under rotation, or of the energy in
            eV/atom if that is larger.
        inversion: deviation under inversion.
        translation: deviation under translation.
        permutation: deviation under a permutation of the atoms.
        finite_difference: deviation of forces from central differences of the energy.
    """

    code: str
    rotation: float | None
    inversion: float | None
    translation: float | None
    permutation: float | None
    finite_difference: float | None


class CheckedStructure(Record):
    """The structure that a model was checked on.

    Attributes:
        source: where it is from.
        changes: how it was changed, if no structure had edges and forces; otherwise empty.
        formula: its composition.
        atoms: number of atoms.
        edges: number of pairs within the model's cutoff, each counted in both directions.
        largest_force: largest force component in eV/Å that the model predicts.
    """

    source: str
    changes: str
    formula: str
    atoms: int
    edges: int
    largest_force: float | None


class Checks(Record):
    """The checks of a saved model in float64.

    Attributes:
        structure: the structure that the model was checked on.
        reflections: whether the model claims to be equivariant under inversion.
        own: deviations of the family's own code, which users of the saved model run.
        faster: deviations of irrepress's faster code, which scores and trains.
    """

    structure: CheckedStructure
    reflections: bool
    own: Deviations
    faster: Deviations

    def failures(self) -> list[str]:
        """Return the checks that the model has not passed; none if it has passed all.

        A check without a value has not passed.
        """
        found = []
        for deviations in (self.own, self.faster):
            for name, value in deviations.model_dump(exclude={"code"}).items():
                if name == "inversion" and not self.reflections:
                    continue
                differences = name == "finite_difference"
                limit = FINITE_DIFFERENCE_TOLERANCE if differences else SYMMETRY_TOLERANCE
                if value is None or not math.isfinite(value):
                    found.append(f"{name} ({deviations.code}): no value")
                elif value >= limit:
                    found.append(f"{name} ({deviations.code}): {value:.1e}, {limit:g} is allowed")
        return found
