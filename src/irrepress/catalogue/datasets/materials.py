"""Large datasets of inorganic crystals, for pre-training, recovery and Matbench Discovery."""

from dataclasses import replace

from irrepress.catalogue.datasets.licences import CC_BY, MIT
from irrepress.catalogue.datasets.sources import figshare
from irrepress.catalogue.entry import PublishedDataset, RemoteFile

_MPTRJ_PAGE = "https://figshare.com/articles/dataset/23713842"
_MATBENCH_PAGE = "https://figshare.com/articles/dataset/22715158"
_SALEX = "https://dl.fbaipublicfiles.com/opencatalystproject/data/omat/241018/sAlex"
_OMAT_PAGE = "https://huggingface.co/datasets/facebook/OMAT24"

MPTRJ = PublishedDataset(
    name="mptrj",
    collection="mptrj",
    description=(
        "MPtrj: frames of the Materials Project's relaxations (Deng et al. 2023), as extended XYZ "
        "files, one for each material, from Matbench Discovery. The energies are VASP's, without "
        "corrections."
    ),
    files=(
        RemoteFile(
            name="2024-09-03-mp-trj.extxyz.zip",
            urls=figshare(49034296),
            checksum="md5:7f433171e4e5f2ef9304dccd42d5488f",
            page=_MPTRJ_PAGE,
        ),
    ),
    format="extxyz-archive",
    keys={"group": "material_id"},
    labels=("energy", "forces", "stress"),
    licence=replace(MIT, terms="The calculations are the Materials Project's, under CC BY 4.0."),
    citation="10.1038/s42256-023-00716-3, 10.6084/m9.figshare.23713842",
    level_of_theory="PBE, PBE+U (VASP, Materials Project)",
    structures=1_580_395,
)

MPTRJ_JSON = replace(
    MPTRJ,
    name="mptrj-json",
    description=(
        "MPtrj as its authors published it: one JSON file of 12 GB with pymatgen structures. The "
        "same frames as mptrj; stresses in kbar, positive under compression."
    ),
    files=(
        RemoteFile(
            name="MPtrj_2022.9_full.json",
            urls=figshare(41619375),
            checksum="md5:50ead5f27f9a4f6beb7564c4188f1e9f",
            page=_MPTRJ_PAGE,
        ),
    ),
    format="mptrj-json",
    keys={},
    units={"stress": "kbar", "stress_sign": "vasp"},
)

SALEX = PublishedDataset(
    name="salex",
    collection="salex",
    description=(
        "sAlex: frames of Alexandria's relaxations that differ by more than 10 meV/atom, without "
        "the prototypes of WBM (Barroso-Luque et al. 2024)."
    ),
    files=(
        RemoteFile(
            name="train.tar.gz",
            urls=(f"{_SALEX}/train.tar.gz",),
            checksum="sha256:48eb3664d95331e7fd84bfe1f04f5e741600bffcfb1253334c82dae92cebf1ef",
            page=_OMAT_PAGE,
        ),
        RemoteFile(
            name="val.tar.gz", urls=(f"{_SALEX}/val.tar.gz",), checksum=None, page=_OMAT_PAGE
        ),
    ),
    format="ase-db",
    options={
        "parts": {"train.tar.gz": "train", "val.tar.gz": "valid"},
        # The first component of agm003300702_0_0 is the material.
        "group_pattern": "[^_]+",
    },
    keys={"group": "sid"},
    labels=("energy", "forces", "stress"),
    licence=CC_BY,
    citation="10.48550/arXiv.2410.12771, 10.1002/adma.202210788",
    level_of_theory="PBE, PBE+U (VASP, Alexandria)",
    structures=11_000_983,
)

WBM = PublishedDataset(
    name="wbm",
    collection="wbm",
    description=(
        "WBM: crystals made by chemical substitution (Wang, Botti and Marques 2021), before their "
        "relaxation, with the table of formation energies: the test set of Matbench Discovery."
    ),
    files=(
        RemoteFile(
            name="2024-08-04-wbm-initial-atoms.extxyz.zip",
            urls=figshare(48169597),
            checksum="md5:2a292211ca6acb30ed8416178d644098",
            page=_MATBENCH_PAGE,
        ),
    ),
    tables=(
        RemoteFile(
            name="2023-12-13-wbm-summary.csv.gz",
            urls=figshare(64706751),
            checksum="md5:1555268d3aa59d20262cb9d01ce0994b",
            page=_MATBENCH_PAGE,
        ),
    ),
    format="extxyz-archive",
    options={"parts": {"*.zip": "test"}, "labels": ()},
    keys={"group": "material_id"},
    labels=(),
    licence=CC_BY,
    citation="10.1038/s41524-020-00481-6, 10.1038/s42256-025-01055-1",
    level_of_theory="PBE, PBE+U (VASP, Materials Project's settings)",
    structures=256_963,
)

MATERIALS = (MPTRJ, MPTRJ_JSON, SALEX, WBM)
