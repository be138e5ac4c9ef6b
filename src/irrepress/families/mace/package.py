"""mace-torch, imported without its greetings.

With e3nn 0.4.4 and recent PyTorch, mace must be imported before e3nn: it lets e3nn load its
constants. All other modules of this family import what they need of mace and e3nn from here.
"""

import contextlib
import io
import warnings

# mace prints which accelerators are missing, and e3nn's old code warns of what PyTorch deprecates.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mace
    from e3nn import __version__ as e3nn_version
    from e3nn.nn import FullyConnectedNet
    from e3nn.o3 import FullyConnectedTensorProduct, Irrep, Irreps, Linear
    from e3nn.util.codegen import CodeGenMixin
    from e3nn.util.jit import compile as compile_module
    from mace import modules as mace_modules
    from mace.calculators import LAMMPS_MACE, MACECalculator
    from mace.modules import blocks
    from mace.modules.radial import RadialMLP
    from mace.modules.symmetric_contraction import Contraction

mace_version = mace.__version__

__all__ = [
    "LAMMPS_MACE",
    "CodeGenMixin",
    "Contraction",
    "FullyConnectedNet",
    "FullyConnectedTensorProduct",
    "Irrep",
    "Irreps",
    "Linear",
    "MACECalculator",
    "RadialMLP",
    "blocks",
    "compile_module",
    "e3nn_version",
    "mace_modules",
    "mace_version",
]
