"""What an eSCN-MD network is made of, read from fairchem's config, and what is supported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from irrepress.core.errors import UserError

BACKBONE = "fairchem.core.models.uma.escn_md.eSCNMDBackbone"
HEAD = "fairchem.core.models.uma.escn_md.MLP_EFS_Head"
MODEL = "fairchem.core.models.base.HydraModel"

# What a backbone's config must say, and what is wrong with anything else. The value that holds
# when the key is absent is fairchem's.
_REQUIRED: tuple[tuple[str, Any, tuple[Any, ...], str], ...] = (
    (
        "direct_forces",
        True,
        (False,),
        "it predicts forces directly, so they are no derivatives of an energy; give a conservative "
        "model (direct_forces: false)",
    ),
    (
        "act_type",
        "gate",
        ("gate",),
        "its activation on the sphere mixes orders, so that cutting orders is not exact; only "
        "gates are supported",
    ),
    (
        "ff_type",
        "grid",
        ("spectral",),
        "its feed-forward network on a grid mixes orders, so that cutting orders is not exact; "
        "only the spectral one is supported",
    ),
    ("norm_type", "rms_norm_sh", ("rms_norm_sh",), "only the norm rms_norm_sh is supported"),
    ("distance_function", "gaussian", ("gaussian",), "only Gaussian radial bases are supported"),
    (
        "chg_spin_emb_type",
        "pos_emb",
        ("pos_emb", "rand_emb"),
        "only the embeddings of charge and spin pos_emb and rand_emb are supported",
    ),
    (
        "charge_balanced_channels",
        None,
        (None, []),
        "channels that balance charge are not supported",
    ),
    ("spin_balanced_channels", None, (None, []), "channels that balance spin are not supported"),
)


@dataclass(frozen=True)
class Architecture:
    """The sizes of a network.

    Attributes:
        channels: sphere channels: of the features of every order at every layer.
        hidden: hidden channels of messages, of the feed-forward networks and of the readout.
        edge_channels: channels of the radial networks and of elements along edges.
        lmax: highest order l.
        mmax: highest component m of features along edges.
        layers: number of layers.
        basis: number of radial basis functions.
        numbers: atomic numbers must be lower than this.
        random_embedding: charge and spin are embedded by tables, else by sines and cosines.
        dataset: which dataset is embedded; None: the network has no such embedding.
        head: name of the head.
    """

    channels: int
    hidden: int
    edge_channels: int
    lmax: int
    mmax: int
    layers: int
    basis: int
    numbers: int
    random_embedding: bool
    dataset: str | None
    head: str

    @property
    def components(self) -> tuple[tuple[int, int], ...]:
        """Order l and component m of features along edges, in the network's order.

        For each m > 0, all orders come once for +m and then once more for -m.
        """
        found = []
        for m in range(self.mmax + 1):
            found += [(degree, m) for degree in range(m, self.lmax + 1)] * (2 if m else 1)
        return tuple(found)


def check_supported(backbone: Mapping[str, Any], source: object) -> None:
    """Check that a backbone's config is one that irrepress can narrow.

    Raises:
        UserError: it is not; the message says why.
    """
    for key, absent, allowed, reason in _REQUIRED:
        value = backbone.get(key, absent)
        if value not in allowed:
            raise UserError(f"{source}: {key} is {value!r}: {reason}")
    lmax, mmax = backbone.get("lmax", 2), backbone.get("mmax", 2)
    if mmax > lmax:
        raise UserError(f"{source}: mmax {mmax} is above lmax {lmax}; no features have it")


def read_architecture(native: Mapping[str, Any]) -> Architecture:
    """Return the sizes that a `Model.native` holds."""
    config = native["model_config"]
    backbone = config["backbone"]
    datasets = backbone["dataset_mapping"] if backbone["use_dataset_embedding"] else {}
    return Architecture(
        channels=backbone["sphere_channels"],
        hidden=backbone["hidden_channels"],
        edge_channels=backbone["edge_channels"],
        lmax=backbone["lmax"],
        mmax=backbone["mmax"],
        layers=backbone["num_layers"],
        basis=backbone["num_distance_basis"],
        numbers=backbone["max_num_elements"],
        random_embedding=backbone["chg_spin_emb_type"] == "rand_emb",
        dataset=next(iter(datasets), None),
        head=next(iter(config["heads"])),
    )
