"""References for methods and data, as cited in the report."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A cited work; ``identifier`` is shown and links to ``url``.

    Example:
        >>> [reference.key for reference in of_families(["escn"])][:3]
        ['paper', 'taylor', 'escn']
    """

    key: str
    text: str
    identifier: str
    url: str


def _doi(key: str, text: str, doi: str) -> Reference:
    return Reference(key, text, f"doi:{doi}", f"https://doi.org/{doi}")


def _arxiv(key: str, text: str, number: str) -> Reference:
    return Reference(key, text, f"arXiv:{number}", f"https://arxiv.org/abs/{number}")


REFERENCES = (
    _arxiv(
        "paper",
        "C. Wang, S. Hu, G. Tan and W. Jia, Compact SO(3) Equivariant Atomistic Foundation "
        "Models via Structural Pruning, 2026.",
        "2605.08885",
    ),
    _arxiv(
        "taylor",
        "P. Molchanov, A. Mallya, S. Tyree, I. Frosio and J. Kautz, Importance Estimation for "
        "Neural Network Pruning, CVPR 2019.",
        "1906.10771",
    ),
    _doi(
        "sevennet",
        "Y. Park, J. Kim, S. Hwang and S. Han, Scalable Parallel Algorithm for Graph Neural "
        "Network Interatomic Potentials in Molecular Dynamics Simulations, J. Chem. Theory "
        "Comput. 2024.",
        "10.1021/acs.jctc.4c00190",
    ),
    _arxiv(
        "sevennet-mf",
        "J. Kim et al., Data-efficient multi-fidelity training for high-fidelity machine "
        "learning interatomic potentials (SevenNet-MF), 2024.",
        "2409.07947",
    ),
    _doi(
        "nequip",
        "S. Batzner et al., E(3)-equivariant graph neural networks for data-efficient and "
        "accurate interatomic potentials (NequIP), Nat. Commun. 13, 2453 (2022).",
        "10.1038/s41467-022-29939-5",
    ),
    _arxiv(
        "mace",
        "I. Batatia, D. P. Kovács, G. N. C. Simm, C. Ortner and G. Csányi, MACE: Higher Order "
        "Equivariant Message Passing Neural Networks for Fast and Accurate Force Fields, 2022.",
        "2206.07697",
    ),
    _arxiv(
        "escn",
        "S. Passaro and C. L. Zitnick, Reducing SO(3) Convolutions to SO(2) for Efficient "
        "Equivariant GNNs (eSCN), 2023.",
        "2302.03655",
    ),
    _arxiv(
        "esen",
        "X. Fu et al., Learning Smooth and Expressive Interatomic Potentials for Physical "
        "Property Prediction (eSEN), 2025.",
        "2502.12147",
    ),
    _arxiv(
        "uma",
        "B. M. Wood et al., UMA: A Family of Universal Models for Atoms, 2025.",
        "2506.23971",
    ),
    _arxiv("e3nn", "M. Geiger and T. Smidt, e3nn: Euclidean Neural Networks, 2022.", "2207.09453"),
    _doi(
        "mptrj",
        "B. Deng et al., CHGNet as a pretrained universal neural network potential for "
        "charge-informed atomistic modelling (MPtrj), Nat. Mach. Intell. 5, 1031 (2023).",
        "10.1038/s42256-023-00716-3",
    ),
    _doi(
        "ase",
        "A. H. Larsen et al., The atomic simulation environment: a Python library for working "
        "with atoms, J. Phys.: Condens. Matter 29, 273002 (2017).",
        "10.1088/1361-648X/aa680e",
    ),
    _doi(
        "snakemake",
        "F. Mölder et al., Sustainable data analysis with Snakemake, F1000Research 10, 33 (2021).",
        "10.12688/f1000research.29032.2",
    ),
)

# Works that are only cited in studies of some families.
_OF_FAMILIES = {
    "sevennet": {"sevennet"},
    "sevennet-mf": {"sevennet"},
    "nequip": {"sevennet"},
    "mptrj": {"sevennet"},
    "mace": {"mace"},
    "e3nn": {"sevennet", "mace"},
    "escn": {"escn"},
    "esen": {"escn"},
    "uma": {"escn"},
}


def of_families(families: Collection[str]) -> list[Reference]:
    """Return the references for a study of some families, in order."""
    return [
        reference
        for reference in REFERENCES
        if _OF_FAMILIES.get(reference.key, set(families)) & set(families)
    ]
