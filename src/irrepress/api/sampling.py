"""Frames of molecular dynamics of a potential, labelled by it."""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from irrepress.api.frames import Frames
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.calculator import ModelCalculator
from irrepress.core.descriptors import describe
from irrepress.core.model import Model
from irrepress.core.section import make_section
from irrepress.data.layout import StoreInfo
from irrepress.data.sources.config import Sampled
from irrepress.data.sources.sample import Sampling
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.study.cards import Card
from irrepress.study.steps import labels_by

_NAME = "sampled"


def sample(
    model: Model, card: Card, frames: Frames, settings: Mapping[str, Any], seed: int
) -> Frames:
    """Run dynamics of a model from structures, and return what the source ``sampled`` would keep.

    Args:
        model: the model, which labels the frames as well.
        card: where it comes from.
        frames: the structures.
        settings: those of a dataset with ``source: sampled``.
        seed: seed for everything random.

    Raises:
        UserError: if a setting is not one, or all runs at a temperature break.
    """
    labels = ModelRef(family=card.family, checkpoint=card.checkpoint, modal=card.modal)
    given = {"source": "sampled", "of": frames.store.path.stem, "labels": labels, "seed": seed}
    config = make_section(Sampled, "sample", given | dict(settings))
    origin = frames.store.info
    info = StoreInfo(
        source=f"dynamics from {frames.name}: {origin.source}",
        licence=origin.licence,
        citation=origin.citation,
        level_of_theory=card.modal or "as the labelling model",
        labels=labels_by(card.family, card.checkpoint, card.modal),
        checksum="",
    )
    folder = tempfile.TemporaryDirectory(prefix="irrepress-")
    path = Path(folder.name) / f"{_NAME}.h5"
    calculator, elements = ModelCalculator(model), frames.store.elements
    sampling = Sampling(
        frames.store,
        config,
        calculator,
        Path(folder.name) / "runs",
        partial(describe, model, elements=elements, evaluator=calculator.evaluator),
        _NAME,
    )
    sampling.run()
    write_store(path, sampling.frames(), info, sampling.splits, seed, total=len(sampling))
    sampling.clear()
    return Frames(StructureStore(path), _NAME, folder)
