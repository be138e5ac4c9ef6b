"""Calibration: the structures that blocks are scored on and removals are tried on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irrepress.core.model import Model
from irrepress.data.store import StructureStore
from irrepress.pruning.config import Scoring
from irrepress.pruning.damage import Damage
from irrepress.pruning.scores import Scores
from irrepress.pruning.scoring import compute_scores


@dataclass(frozen=True)
class Calibration:
    """Structures of a store, and how models are scored on them.

    Attributes:
        store: the structures; those of the train part are taken.
        settings: how many of them, and how they are scored.
        seed: seed for everything random.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ase.build import bulk
        >>> from irrepress.core.structure import Structure
        >>> from irrepress.data.layout import StoreInfo
        >>> from irrepress.data.writing import write_store
        >>> path = Path(tempfile.mkdtemp()) / "silicon.h5"
        >>> info = StoreInfo("ASE", "MIT", "", level_of_theory="PBE", labels="PBE", checksum="")
        >>> crystals = [Structure.unlabelled(bulk("Si"))] * 8
        >>> write_store(path, crystals, info, {"train": range(8)}, seed=0)
        >>> settings = Scoring(dataset="silicon", structures=4)
        >>> Calibration(StructureStore(path), settings, seed=0).indices.tolist()
        [0, 2, 4, 6]
    """

    store: StructureStore
    settings: Scoring
    seed: int

    @property
    def indices(self) -> np.ndarray:
        """Indices of the structures in the store.

        Stores are in the order of their source: a stride takes structures from all of it.

        Raises:
            UserError: if the train split is empty.
        """
        train, wanted = self.store.require("train"), self.settings.structures
        return train[:: max(1, len(train) // wanted)][:wanted]

    def score(self, model: Model, criteria: Sequence[str]) -> Scores:
        """Score every block of a model; see `irrepress.pruning.scoring.compute_scores`."""
        chosen = self.indices
        return compute_scores(
            model,
            self.store.iterate(chosen),
            total=len(chosen),
            batch_size=self.settings.batch_size,
            weights=self.settings.weights,
            criteria=criteria,
            probes=self.settings.probes,
            seed=self.seed,
            counts=self.store.count_labels(chosen),
        )

    def damage(self, model: Model, start: Model) -> Damage:
        """Return the function from plans to the damage that they do on these structures.

        Args:
            model: the unpruned model.
            start: the model that plans apply to; see `irrepress.pruning.damage.Damage`.
        """
        return Damage(
            model,
            self.store.iterate(self.indices),
            batch_size=self.settings.batch_size,
            weights=self.settings.weights,
            start=start,
        )
