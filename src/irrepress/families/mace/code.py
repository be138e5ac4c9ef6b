"""Generated code of e3nn in a form that does not depend on what a process built before.

e3nn compiles its maps to TorchScript, and PyTorch numbers equal classes in the order of their
compilation. The numbers, and tables for tracebacks, reach saved files. Without them equal models
give equal bytes.
"""

import io
import re
import zipfile

import torch

from irrepress.families.generic.checkpoints import pickled
from irrepress.families.mace.package import CodeGenMixin

_NUMBER = re.compile(rb"[./]___torch_mangle_\d+")
# For tracebacks, and a hash of the numbered content.
_LEFT_OUT = (".debug_pkl", ".data/serialization_id")


def settle(network: torch.nn.Module) -> torch.nn.Module:
    """Return a network as it comes back from a file, its generated code without numbers."""
    for module in network.modules():
        if isinstance(module, CodeGenMixin):
            compiled = module.__getstate__().get("__codegen__", {})
            for name, script in compiled.items():
                setattr(module, name, torch.jit.load(io.BytesIO(_without_numbers(script))))
    return unpickled(pickled(network))


def unpickled(content: bytes) -> torch.nn.Module:
    """Return a network from bytes that this process made."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)


def _without_numbers(script: bytes) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script)) as source, zipfile.ZipFile(result, "w") as target:
        names = [name for name in source.namelist() if not name.endswith(_LEFT_OUT)]
        plain = {name: _NUMBER.sub(b"", name.encode()).decode() for name in names}
        if len(set(plain.values())) < len(plain):  # classes that only their number tells apart
            return script
        for name in names:
            content = source.read(name)
            if name.endswith((".py", ".pkl")):
                content = _NUMBER.sub(b"", content)
            target.writestr(zipfile.ZipInfo(plain[name]), content)
    return result.getvalue()
