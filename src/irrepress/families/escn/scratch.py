"""Models with random weights from settings of the config, to be trained from scratch."""

from collections.abc import Mapping
from typing import Any

import torch

from irrepress.catalogue.families import check_settings
from irrepress.core.errors import UserError, first_line
from irrepress.core.model import Model
from irrepress.core.statistics import DataStatistics
from irrepress.families.escn import checkpoint
from irrepress.families.escn.architecture import check_supported
from irrepress.families.escn.tasks import EnergyScale, write_tasks
from irrepress.families.escn.untrained import native_config

# What the saved file calls the only task, where the config gives no other name.
TASK = "main"


def make_untrained(
    settings: Mapping[str, Any], data: DataStatistics, seed: int, modal: str | None
) -> Model:
    """Build a network with random weights; see `families.base.Family.untrained`.

    Raises:
        UserError: an unknown setting, or one that fairchem or irrepress refuses.
    """
    check_settings("escn", settings)
    dataset, numbers = modal or TASK, max(data.elements) + 1
    native = native_config(dataset, **settings, max_num_elements=numbers)
    backbone = native["model_config"]["backbone"]
    if "mmax" not in settings:
        backbone["mmax"] = min(backbone["mmax"], backbone["lmax"])
    check_supported(backbone, "untrained")
    shifted = data.shifted()
    references = tuple(shifted.get(number, 0.0) for number in range(numbers))
    native["tasks_config"] = write_tasks(EnergyScale(0.0, data.scale, references), dataset)
    native["elements"] = data.elements
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # What a wrong value runs into depends on fairchem's constructor.
        try:
            return checkpoint.build(native, modal)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"untrained: fairchem cannot build a network of these settings "
                f"({first_line(error)}); correct them"
            ) from error
