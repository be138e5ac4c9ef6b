"""The typed configuration of a study: the one place where a default stands.

`load_config` reads YAML, refuses what cannot work with one message per mistake, and fills in
the defaults. ``config/schema.json`` is generated from these models.
"""

from irrepress.config.datasets import (
    Counts,
    Dataset,
    Downloads,
    Files,
    Format,
    Generated,
    LabelKeys,
    Perturbed,
    Published,
    Split,
    Units,
)
from irrepress.config.models import ModelRef, StudyModel
from irrepress.config.pruning import (
    Allocation,
    Axes,
    Compensation,
    Criterion,
    Explicit,
    Normalization,
    Scoring,
    Sweep,
    Unit,
)
from irrepress.config.reading import load_config, parse_config, schema
from irrepress.config.section import Device, Fraction, Name, NumberType
from irrepress.config.stages import Downstream, Evaluation, Export, Quantization, Stage
from irrepress.config.study import Cluster, Config
from irrepress.config.training import OF_THE_MACHINE, Distillation, LossWeights, Part, Training

__all__ = [
    "OF_THE_MACHINE",
    "Allocation",
    "Axes",
    "Cluster",
    "Compensation",
    "Config",
    "Counts",
    "Criterion",
    "Dataset",
    "Device",
    "Distillation",
    "Downloads",
    "Downstream",
    "Evaluation",
    "Explicit",
    "Export",
    "Files",
    "Format",
    "Fraction",
    "Generated",
    "LabelKeys",
    "LossWeights",
    "ModelRef",
    "Name",
    "Normalization",
    "NumberType",
    "Part",
    "Perturbed",
    "Published",
    "Quantization",
    "Scoring",
    "Split",
    "Stage",
    "StudyModel",
    "Sweep",
    "Training",
    "Unit",
    "Units",
    "load_config",
    "parse_config",
    "schema",
]
