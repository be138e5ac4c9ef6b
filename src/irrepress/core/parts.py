"""What parameters do in a network."""

from typing import Literal

# What parameters do in a network: see `Model.parameter_parts`.
Part = Literal["embedding", "linear", "radial", "readout"]
