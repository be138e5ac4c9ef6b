"""The front door: load a model, plan, prune, compensate, train, compare, save.

What it does is what the workflow does, step by step in one Python process:

    import irrepress

    model = irrepress.load("7net-l3i5")
    plan = model.plan("frames.extxyz", speedup=5)
    small = plan.apply().compensate("frames.extxyz").finetune("frames.extxyz")
    small.save("small.pt")
    atoms.calc = small.calculator()

Every step returns something new and leaves what it was made from as it is.
"""

from irrepress.api.comparison import Comparison
from irrepress.api.deploying import Deployed
from irrepress.api.frames import Frames, read
from irrepress.api.loading import load, merge
from irrepress.api.potential import Potential
from irrepress.api.pruning import Pruning
from irrepress.api.validation import Proof
from irrepress.core.errors import UserError

__all__ = [
    "Comparison",
    "Deployed",
    "Frames",
    "Potential",
    "Proof",
    "Pruning",
    "UserError",
    "load",
    "merge",
    "read",
]
