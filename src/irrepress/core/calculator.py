"""An ASE calculator that runs a loaded model."""

from collections.abc import Sequence
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from irrepress import __version__
from irrepress.core.evaluator import faster_evaluator
from irrepress.core.model import Model
from irrepress.core.structure import Structure


class ModelCalculator(Calculator):
    """Computes energies, forces and stress by the fastest code that irrepress has for a model.

    It gives the labels that `irrepress.core.model.Model.predict` gives, up to round-off, with the
    weights that the model has when it is made. Where the code that users of a saved model run is to
    be measured, take the family's own calculator instead
    (`irrepress.core.family.Family.calculator`).

    Args:
        model: the model; computations run on its device.

    Attributes:
        model: the model.
        evaluator: code that is faster than the model's batches; None if there is none.

    Example:
        >>> from ase.build import bulk
        >>> silicon = bulk("Si")
        >>> silicon.calc = ModelCalculator(model)
        >>> silicon.get_forces().shape
        (2, 3)
    """

    def __init__(self, model: Model):
        self.implemented_properties = ["energy", "forces", "stress"]
        super().__init__()
        self.model = model
        self.evaluator = faster_evaluator(model)

    @property
    def code(self) -> str:
        """The code that computes, for records."""
        return f"irrepress {__version__}, faster code for {self.model.family.own_code()}"

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute all properties; the stress only if the cell is periodic in all directions."""
        super().calculate(atoms, list(properties), list(system_changes))
        structure = Structure.unlabelled(self.atoms)
        if self.evaluator is not None:
            prediction = self.evaluator(structure)
        else:
            prediction = self.model.predict(self.model.batch([structure]))
        results: dict[str, Any] = {
            "energy": float(prediction.energy[0]),
            "forces": prediction.forces.double().cpu().numpy(),
        }
        if structure.pbc.all():
            results["stress"] = prediction.stress[0].double().cpu().numpy()
        self.results = results
