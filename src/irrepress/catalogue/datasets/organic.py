"""Organic molecules: SPICE for pre-training; rMD17, 3BPA and acetylacetone downstream."""

from irrepress.catalogue.datasets.licences import CC0, MIT
from irrepress.catalogue.datasets.sources import BOTNET, BOTNET_COMMIT, apollo, figshare, github
from irrepress.catalogue.entry import Licence, PublishedDataset, RemoteFile

_APOLLO_PAGE = "https://www.repository.cam.ac.uk/items/d50227cd-194f-4ba4-aeb7-2643a69f025f"

SPICE = PublishedDataset(
    name="spice-maceoff23",
    collection="spice-maceoff23",
    description=(
        "The part of SPICE 1 that MACE-OFF23 was trained and tested on (Kovács et al. 2025): "
        "neutral molecules of H, C, N, O, F, P, S, Cl, Br and I, no ion pairs. The official test "
        "part holds other conformers of molecules that are in the training part too."
    ),
    files=(
        RemoteFile(
            name="train_large_neut_no_bad_clean.tar.gz",
            urls=apollo("b185b5ab-91cf-489a-9302-63bfac42824a"),
            checksum=None,
            page=_APOLLO_PAGE,
        ),
        RemoteFile(
            name="test_large_neut_all.tar.gz",
            urls=apollo("cb8351dd-f09c-413f-921c-67a702a7f0c5"),
            checksum="md5:bf1f7c7ff1714e6ac6af2cdc642a130a",
            page=_APOLLO_PAGE,
        ),
    ),
    format="extxyz-archive",
    options={"parts": {"train_*.tar.gz": "train", "test_*.tar.gz": "test"}},
    keys={"group": "smiles"},
    labels=("energy", "forces"),
    licence=Licence(
        name="MACE-OFF23",
        url=_APOLLO_PAGE,
        restricted=True,
        terms=(
            "MACE-OFF23, the models that this selection of SPICE was published with, are under "
            "the Academic Software Licence, which excludes commercial use. SPICE itself is under "
            "CC0, and the record of this data is said to be under MIT: read it before you train."
        ),
    ),
    citation="10.17863/CAM.107498, 10.1021/jacs.4c07099, 10.1038/s41597-022-01882-6",
    level_of_theory="ωB97M-D3(BJ)/def2-TZVPPD (Psi4)",
    structures=1_001_200,
)

_RMD17_ARCHIVE = RemoteFile(
    name="rmd17.tar.bz2",
    urls=(
        *figshare(23950376),
        "https://archive.materialscloud.org/records/pfffs-fff86/files/rmd17.tar.bz2",
    ),
    checksum="md5:cb1a927628d96f2e966025da4fb63d18",
    page="https://figshare.com/articles/dataset/12672038",
)

# Number of structures of each molecule.
RMD17_MOLECULES = {
    "aspirin": 100_000,
    "azobenzene": 99_988,
    "benzene": 100_000,
    "ethanol": 100_000,
    "malonaldehyde": 100_000,
    "naphthalene": 100_000,
    "paracetamol": 100_000,
    "salicylic": 100_000,
    "toluene": 100_000,
    "uracil": 100_000,
}

# The default downstream datasets, with 50 structures for training, 950 for validation and the rest
# for tests.
RMD17_STUDY = (
    "rmd17-aspirin",
    "rmd17-azobenzene",
    "rmd17-ethanol",
    "rmd17-malonaldehyde",
    "rmd17-paracetamol",
    "rmd17-salicylic",
    "rmd17-toluene",
    "rmd17-uracil",
)


def _rmd17(molecule: str, structures: int) -> PublishedDataset:
    title = "salicylic acid" if molecule == "salicylic" else molecule
    return PublishedDataset(
        name=f"rmd17-{molecule}",
        collection="rmd17",
        description=(
            f"Revised MD17: {title} from ab initio molecular dynamics at 500 K, recomputed "
            "(Christensen and von Lilienfeld 2020), with five official splits of 1,000 training "
            "and 1,000 test structures. Its authors ask not to train on more than 1,000."
        ),
        files=(_RMD17_ARCHIVE,),
        format="rmd17",
        options={"molecule": molecule, "fold": 1},
        units={"energy": "kcal/mol"},
        labels=("energy", "forces"),
        licence=CC0,
        citation="10.1088/2632-2153/abba6f, 10.6084/m9.figshare.12672038",
        level_of_theory="PBE/def2-SVP (ORCA)",
        structures=structures,
        split_by="structure",
        # The default protocol: 950 of the official training structures are used for validation.
        counts={"train": 50, "valid": 950},
    )


RMD17 = tuple(_rmd17(molecule, structures) for molecule, structures in RMD17_MOLECULES.items())


def _botnet(path: str, checksum: str | None, size: int | None = None) -> RemoteFile:
    return RemoteFile(
        name=path.rpartition("/")[2],
        urls=github(BOTNET, BOTNET_COMMIT, path),
        checksum=checksum,
        size=size,
        page=f"https://github.com/{BOTNET}",
    )


_3BPA_TRAIN = _botnet(
    "dataset_3BPA/train_300K.xyz",
    "sha256:d109971fab90e2231ad931a83eb704c8d940f5c7d7a8de27fe3b84ea18634c0a",
    1_504_880,
)
_3BPA_ATOMS = _botnet(
    "dataset_3BPA/iso_atoms.xyz",
    "sha256:e12a2465a2612bf38fd5dabdf64d4b57fc58ce9610a858c54ea1142d517c053f",
    504,
)


def _three_bpa(name: str, test: RemoteFile, structures: int, what: str) -> PublishedDataset:
    return PublishedDataset(
        name=name,
        collection="3bpa",
        description=(
            "3-(benzyloxy)pyridin-2-amine, a flexible drug-like molecule (Kovács et al. 2021): "
            f"training at 300 K, test {what}."
        ),
        files=(_3BPA_TRAIN, test, _3BPA_ATOMS),
        format="extxyz",
        options={"parts": {"train_*.xyz": "train", "test_*.xyz": "test"}},
        labels=("energy", "forces"),
        licence=MIT,
        citation="10.1021/acs.jctc.1c00647, 10.1038/s42256-024-00956-x",
        level_of_theory="ωB97X/6-31G(d) (ORCA)",
        structures=500 + structures,
        split_by="structure",
        isolated_atoms=_3BPA_ATOMS.name,
    )


THREE_BPA = (
    _three_bpa("3bpa", _botnet("dataset_3BPA/test_300K.xyz", None), 1_669, "at 300 K"),
    _three_bpa("3bpa-600k", _botnet("dataset_3BPA/test_600K.xyz", None), 2_138, "at 600 K"),
    _three_bpa("3bpa-1200k", _botnet("dataset_3BPA/test_1200K.xyz", None), 2_139, "at 1200 K"),
    _three_bpa(
        "3bpa-dihedral", _botnet("dataset_3BPA/test_dih.xyz", None), 7_047, "on dihedral scans"
    ),
)

_ACAC_TRAIN = _botnet(
    "dataset_acac/train_300K.xyz",
    "sha256:8f5706d6902360555a5be59395612d2afc3489a75688388a58e7275fdad68af3",
    880_100,
)
_ACAC_ATOMS = _botnet(
    "dataset_acac/isolated_atoms.xyz",
    "sha256:b74f321b453374621b447d65c60979f70df1b7182c8ee0215388b2c574f33823",
    455,
)


def _acac(name: str, test: RemoteFile, what: str) -> PublishedDataset:
    return PublishedDataset(
        name=name,
        collection="acac",
        description=(
            f"Acetylacetone (Batatia et al. 2025): training at 300 K, test {what}. The scans of "
            "the dihedral angle and of the proton transfer have no forces and are left out."
        ),
        files=(_ACAC_TRAIN, test, _ACAC_ATOMS),
        format="extxyz",
        options={"parts": {"train_*.xyz": "train", "test_*.xyz": "test"}},
        labels=("energy", "forces"),
        licence=MIT,
        citation="10.1038/s42256-024-00956-x",
        level_of_theory="UHF PBE-D3/def2-SVP (ORCA)",
        structures=500 + 650,
        split_by="structure",
        isolated_atoms=_ACAC_ATOMS.name,
    )


ACAC = (
    _acac(
        "acac",
        _botnet(
            "dataset_acac/test_MD_300K.xyz",
            "sha256:2291f3186a3cc6a5e05e92952c84a9237ca53f862d78fd3316a769360719ec43",
            1_144_100,
        ),
        "at 300 K",
    ),
    _acac(
        "acac-600k",
        _botnet(
            "dataset_acac/test_MD_600K.xyz",
            "sha256:d5a5bba154ec43f915eb7529f86ec3af60e6f911743859daba030181a0378ff7",
            1_144_153,
        ),
        "at 600 K",
    ),
)

ORGANIC = (SPICE, *RMD17, *THREE_BPA, *ACAC)
