"""What the parameters of a MACE network do, and which of them are matrices."""

import torch

from irrepress.core.family import WeightBlock
from irrepress.core.model import Model
from irrepress.families.mace.package import (
    Contraction,
    FullyConnectedNet,
    FullyConnectedTensorProduct,
    Linear,
    RadialMLP,
)


def weight_blocks(model: Model) -> list[WeightBlock]:
    """Return matrices; see `irrepress.core.family.Family.weight_blocks`.

    Besides maps and radial networks these are the weights of products of features, one scalar for
    each element, path and channel: in models for many elements, most parameters.
    """
    blocks = []
    for name, module in model.network.named_modules():
        if isinstance(module, Linear | FullyConnectedTensorProduct):
            start = 0
            for path in module.instructions:
                *rows, columns = path.path_shape
                if not rows:  # a bias
                    continue
                shape = (int(torch.tensor(rows).prod()), columns)
                blocks.append(WeightBlock(f"{name}.weight", start, shape))
                start += shape[0] * shape[1]
        elif isinstance(module, FullyConnectedNet | RadialMLP | Contraction):
            for inner, parameter in module.named_parameters(prefix=name):
                if parameter.ndim > 1:
                    rows = parameter.numel() // parameter.shape[-1]
                    blocks.append(WeightBlock(inner, 0, (rows, parameter.shape[-1])))
    return blocks


def parameter_parts(model: Model) -> dict[str, str]:
    """Return what parameters do; see `irrepress.core.family.Family.parameter_parts`."""
    radial = (".conv_tp_weights.", ".density_fn.", "network.radial_embedding.", ".pair_repulsion")
    embedding = ("network.node_embedding.", "source_embedding", "target_embedding")
    found = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if any(part in name for part in radial):
            found[name] = "radial"
        elif any(part in name for part in embedding):
            found[name] = "embedding"
        else:
            found[name] = "readout" if name.startswith("network.readouts.") else "linear"
    return found
