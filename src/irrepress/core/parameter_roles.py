"""The roles of parameters in a network, which training can treat differently."""

from typing import Literal

# See `irrepress.core.model.Model.parameter_roles`.
ParameterRole = Literal["embedding", "linear", "radial", "readout"]
