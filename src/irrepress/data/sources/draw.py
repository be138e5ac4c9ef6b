"""Structures that are drawn from those of a dataset, by their settings."""

from typing import Any

from irrepress.core.calculator import ModelCalculator
from irrepress.core.model import Model
from irrepress.data.sources.config import Defective, Drawn, Relaxed, Squeezed, Strained, Substituted
from irrepress.data.sources.defects import Defects
from irrepress.data.sources.deform import Deformations
from irrepress.data.sources.drawing import Drawing
from irrepress.data.sources.relax import Relaxations
from irrepress.data.sources.squeeze import SqueezedPairs
from irrepress.data.sources.substitute import Substitutions
from irrepress.data.store import StructureStore


def draw(store: StructureStore, config: Drawn, name: str, model: Model) -> Drawing[Any]:
    """Return the structures that a config asks for; they are drawn while they are iterated.

    Args:
        store: the dataset to draw from.
        config: settings, of one of the kinds.
        name: name of the dataset that is made.
        model: the labelling model: atoms follow its forces, and its elements may replace others.

    Raises:
        UserError: if there is nothing to draw from, or too few structures for the splits.
    """
    if isinstance(config, Strained):
        return Deformations(store, config, name)
    if isinstance(config, Defective):
        return Defects(store, config, name)
    if isinstance(config, Relaxed):
        return Relaxations(store, config, name, ModelCalculator(model))
    if isinstance(config, Squeezed):
        return SqueezedPairs(store, config, name, ModelCalculator(model))
    assert isinstance(config, Substituted)
    return Substitutions(store, config, name, model.elements)
