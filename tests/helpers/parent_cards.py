"""Cards of unpruned models."""

from pathlib import Path
from typing import Any

from irrepress.study.cards import Card


def parent_card(model: Path, **changes: Any) -> Card:
    """Return the card of a model file; what a test does not look at has some value."""
    content = {
        "name": "x",
        "family": "sevennet",
        "checkpoint": "7net-0",
        "checkpoint_sha256": "0" * 64,
        "shape": {},
        "parameters": 1,
        "licence": None,
        "modal": None,
        "seed": 0,
    }
    return Card.of_parent(model, **{**content, **changes})
