"""Records of a model's symmetry and force checks.

This module does not need PyTorch: the report reads these records in an environment without it.
"""

import math

from irrepress.core.records import Record

# Limits on deviations in float64, relative to the largest force. Symmetries hold up to round-off;
# central differences are limited by their step of 1e-4 Å.
SYMMETRY_TOLERANCE = 1e-9
FINITE_DIFFERENCE_TOLERANCE = 1e-3


class Deviations(Record):
    """Deviations of a code from its symmetries, and of its forces from its energy.

    All are relative to the largest force. None means that a check has no value and therefore
    failed, except for ``inversion`` if the model does not claim this symmetry
    (`Checks.reflections`).

    Attributes:
        code: the code that was run, such as "sevenn 0.13.0".
        rotation: deviation of the forces under rotation, or of the energy in eV/atom if that is
            larger.
        inversion: deviation under inversion.
        translation: deviation under translation.
        permutation: deviation under a permutation of the atoms.
        finite_difference: deviation of forces from central differences of the energy.

    Example:
        >>> deviations = Deviations(
        ...     code="sevenn 0.13.0", rotation=1e-13, inversion=None, translation=1e-14,
        ...     permutation=1e-14, finite_difference=1e-6,
        ... )
        >>> deviations.rotation < SYMMETRY_TOLERANCE
        True
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
        source: origin of the structure.
        changes: how it was changed, if no structure had edges and forces; otherwise empty.
        formula: chemical formula.
        atoms: number of atoms.
        edges: number of pairs within the model's cutoff, each counted in both directions.
        largest_force: largest predicted force component in eV/Å.

    Example:
        >>> checked = CheckedStructure(
        ...     source="structure 0 of silicon (test split)", changes="", formula="Si2", atoms=2,
        ...     edges=92, largest_force=0.4,
        ... )
        >>> checked.formula
        'Si2'
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
        faster: deviations of irrepress's faster code, which is used for scoring and training.

    Example:
        >>> values = dict.fromkeys(("rotation", "inversion", "translation", "permutation"), 1e-13)
        >>> sound = Deviations(code="sevenn 0.13.0", finite_difference=1e-6, **values)
        >>> structure = CheckedStructure(
        ...     source="structure 0", changes="", formula="Si2", atoms=2, edges=92,
        ...     largest_force=0.4,
        ... )
        >>> Checks(structure=structure, reflections=False, own=sound, faster=sound).failures()
        []
    """

    structure: CheckedStructure
    reflections: bool
    own: Deviations
    faster: Deviations

    def failures(self) -> list[str]:
        """Return a message for each failed check; empty if all passed.

        A check without a value counts as failed.
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
                    found.append(
                        f"{name} ({deviations.code}): {value:.1e}, above the limit of {limit:g}"
                    )
        return found
