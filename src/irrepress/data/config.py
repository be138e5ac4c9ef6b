"""The datasets of a study, and where they come from."""

import os
from difflib import get_close_matches
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from irrepress.catalogue.datasets.registry import PUBLISHED
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import nearest
from irrepress.core.section import (
    EACH_ONCE,
    Count,
    Integer,
    Name,
    Number,
    PathText,
    Section,
    Seed,
    Text,
)

Format = Literal[
    "auto", "extxyz", "extxyz-archive", "ase", "ase-db", "mace-hdf5", "mptrj-json", "deepmd"
]
# What ASE calls formats that have a reader here.
ALIASES: dict[str, Format] = {"xyz": "extxyz", "db": "ase-db", "aselmdb": "ase-db"}


class LabelKeys(Section):
    """Keys of the labels in files.

    null means where ASE keeps its own results, else a key that can mean nothing else (`Energy`,
    `force`, `virial`), which is noted; false means that the label is not read.
    """

    energy: Text | Literal[False] | None = None
    forces: Text | Literal[False] | None = None
    stress: Text | Literal[False] | None = None
    group: Text | None = Field(
        None,
        description="Key of what siblings share: a trajectory, a material; null: the key 'group'.",
    )


ForceUnit = Literal[
    "eV/Å",
    "eV/Bohr",
    "eV/nm",
    "meV/Å",
    "meV/Bohr",
    "meV/nm",
    "Hartree/Å",
    "Hartree/Bohr",
    "Hartree/nm",
    "Ry/Å",
    "Ry/Bohr",
    "Ry/nm",
    "kcal/mol/Å",
    "kcal/mol/Bohr",
    "kcal/mol/nm",
    "kJ/mol/Å",
    "kJ/mol/Bohr",
    "kJ/mol/nm",
]
_COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")


class Units(Section):
    """Units of a source; they are converted once, when it is read."""

    energy: Literal["eV", "meV", "Hartree", "Ry", "kcal/mol", "kJ/mol"] = "eV"
    length: Literal["Å", "Bohr", "nm"] = Field("Å", description="Of positions and cells.")
    forces: ForceUnit | None = Field(
        None, description="null: the unit of energy per the unit of length."
    )
    forces_sign: Literal["forces", "gradient"] = Field(
        "forces", description="gradient: what stands there is the gradient, minus the forces."
    )
    stress: Literal[
        "eV/Å^3",
        "GPa",
        "MPa",
        "kbar",
        "bar",
        "Mbar",
        "atm",
        "Hartree/Bohr^3",
        "Ry/Bohr^3",
        "kcal/mol/Å^3",
        "virial",
    ] = Field(
        "eV/Å^3",
        description="virial: not the stress but the virial, -stress × volume, in units of energy.",
    )
    stress_sign: Literal["ase", "vasp"] = Field(
        "ase", description="ase: positive under tension; vasp: positive under compression."
    )
    stress_order: str | None = Field(
        None,
        description="Order of a stress of six numbers, such as 'xx yy zz xy yz xz' (as VASP "
        "prints it) or 'xx yy zz xy xz yz' (LAMMPS); null: Voigt's, 'xx yy zz yz xz xy', as ASE "
        "has it.",
    )

    @field_validator("stress_order")
    @classmethod
    def _all_components(cls, order: str | None) -> str | None:
        if order is None:
            return None
        words = ["".join(sorted(word)) for word in order.lower().replace(",", " ").split()]
        if sorted(words) != sorted(_COMPONENTS):
            raise ValueError(
                f"{order!r} does not name the six components {' '.join(_COMPONENTS)} once each"
            )
        return " ".join(words)


class Split(Section):
    """How a dataset is divided. Siblings (same group) never fall into different parts."""

    train: Number = Field(0.7, ge=0, le=1)
    valid: Number = Field(0.15, ge=0, le=1)
    test: Number = Field(0.15, ge=0, le=1)
    by: Literal["group", "composition", "structure"] = Field(
        "group",
        description="What stays together: the recorded group (parent crystal, info key 'group' "
        "of a file), the reduced composition, or nothing (each structure on its own).",
    )

    @model_validator(mode="after")
    def _sum(self) -> "Split":
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + valid + test must be 1, they are {total:g}")
        return self


class Counts(Section):
    """Structures of each part, in place of fractions; null: all that there are."""

    train: Count | None = None
    valid: Count | None = None
    test: Count | None = None


class Generated(Section):
    """Structures built with ASE, strained and rattled, labelled by a model."""

    source: Literal["generated"]
    systems: Annotated[list[Text], EACH_ONCE] = Field(
        min_length=1,
        description="Names of prototypes from irrepress.data.sources.prototypes, or groups of "
        "them: crystals, alloys, surfaces, molecules.",
    )
    count: Count = Field(64, description="Structures in all, spread over the systems.")
    strain: Number = Field(0.04, ge=0, le=0.3, description="Largest strain component.")
    rattle: Number = Field(0.08, ge=0, le=1, description="Standard deviation in Å.")
    max_atoms: Integer = Field(
        24, gt=0, le=5000, description="Prototypes are repeated up to this size."
    )
    labels: ModelRef = Field(description="The model whose energies and forces are the labels.")
    split: Split = Split()
    seed: Seed = 0


class _Read(Section):
    """Settings that all datasets share that are read and not generated."""

    counts: Counts | None = Field(
        None, description="Sizes of the parts, where they are to be smaller than the split says."
    )
    bad_frames: Literal["stop", "skip"] = Field(
        "stop",
        description="What a frame with absent or absurd labels does: it ends the reading with one "
        "message, or it is left out and counted.",
    )
    seed: Seed = 0


class Files(_Read):
    """Structures in files of the user: extxyz (also .xz, .gz), databases, whatever ASE reads."""

    source: Literal["files"]
    paths: Annotated[list[Text], EACH_ONCE] = Field(
        min_length=1,
        description="Files, folders of them, and patterns such as data/*.extxyz or runs/**/OUTCAR; "
        "~ and environment variables are replaced.",
    )
    valid_paths: Annotated[list[Text], EACH_ONCE] = Field(
        default=[], description="Files that are the valid split as a whole."
    )
    test_paths: Annotated[list[Text], EACH_ONCE] = Field(
        default=[], description="Files that are the test split as a whole."
    )
    format: Format | str = Field(
        "auto",
        description="How the files are read; auto: by their names and first bytes. Also the name "
        "of a format of ASE, such as vasp-out (the command ase info --formats lists them).",
    )
    keys: LabelKeys = LabelKeys()
    units: Units = Units()
    select: dict[str, str | int | float | bool | list[str | int | float | bool]] = Field(
        default={},
        description="Read only frames that have these values under these keys, such as "
        "{head: pbe} or {config_type: [bulk, slab]}.",
    )
    isolated_atoms: Text | None = Field(
        None,
        description="File of single atoms, whose energies are the reference energies of the "
        "elements; null: frames with config_type=IsolatedAtom, else a least-squares fit.",
    )
    level_of_theory: str = Field("unknown", description="Such as PBE or wB97M-D3.")
    licence: str = "unknown"
    citation: str = ""
    limit: Count | None = Field(None, description="Read at most this many structures a file.")
    split: Split = Split()

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        ours = [*get_args(Format), *ALIASES]
        if name in ours:
            return name
        from ase.io.formats import ioformats  # half a second, which few configs have to wait for

        if name in ioformats:
            return name
        close = get_close_matches(name, [*ours, *ioformats], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"no format {name!r}; {hint}Known: {', '.join(get_args(Format))}, and the formats of "
            "ASE, which the command 'ase info --formats' lists"
        )


class Published(_Read):
    """A published dataset by its name: downloaded from its official source and verified."""

    source: Literal["published"]
    name: str = Field(description="Such as mptrj, rmd17-aspirin or 3bpa.")
    accept_licence: str | None = Field(
        None,
        description="Name of a licence that restricts use, to say that you accept it. A run "
        "without it shows the licence.",
    )
    fold: Integer = Field(1, ge=1, le=5, description="Which of several official splits (rMD17).")
    unassigned: Literal["test", "none"] = Field(
        "test",
        description="Where structures go that the official split leaves out (rMD17: 98,000).",
    )
    limit: Count | None = Field(None, description="Read at most this many structures.")
    split: Split | None = Field(
        None,
        description="Fractions of the parts that the source does not give; null: 0.7, 0.15 and "
        "0.15, siblings together.",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PUBLISHED:
            raise ValueError(f"no published dataset {name!r}; {nearest(name, PUBLISHED)}")
        return name


class Perturbed(Section):
    """Structures of another dataset, strained and rattled, labelled by a model.

    Those of its train and valid parts stay in these parts. Nothing is made of its test part, and
    the test part of this dataset is empty.
    """

    source: Literal["perturbed"]
    of: Name = Field(description="The dataset whose structures are perturbed.")
    count: Integer = Field(
        500,
        ge=2,
        le=10**9,
        description="Perturbed copies in all, spread evenly over the dataset's structures; these "
        "themselves come on top with keep_unperturbed.",
    )
    rattle: Number = Field(
        0.1,
        ge=0,
        le=1,
        description="Largest standard deviation of displacements in Å; each structure draws its "
        "own between 0 and this.",
    )
    strain: Number = Field(
        0.03,
        ge=0,
        le=0.3,
        description="Largest component of the strain along periodic directions; each structure "
        "draws its own bound between 0 and this.",
    )
    max_atoms: Count | None = Field(
        None, description="Leave out structures that are larger, to label faster."
    )
    keep_unperturbed: bool = Field(
        True,
        description="The dataset's own structures come, too, labelled by the model, beside the "
        "count of copies.",
    )
    labels: ModelRef = Field(description="The model whose energies and forces are the labels.")
    seed: Seed = 0


Dataset = Annotated[Generated | Files | Published | Perturbed, Field(discriminator="source")]


class Downloads(Section):
    """Where files of published datasets and checkpoints come from and go to."""

    directory: PathText = Field(
        "downloads", description="Shared by all studies; ~ and environment variables are replaced."
    )
    mirror: PathText | None = Field(
        None,
        description="Local directory that is tried before the network: FILE or COLLECTION/FILE "
        "in it, as the official source names them (COLLECTION of a checkpoint is its family).",
    )

    retries: Integer = Field(
        5, ge=0, le=1000, description="Of each address, after which the next is tried."
    )
    timeout: Number = Field(30.0, gt=0, le=86400, description="Seconds without a byte.")

    @field_validator("directory", "mirror")
    @classmethod
    def _plain(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if any(character in "{}" or not character.isprintable() for character in path):
            raise ValueError(
                "braces stand for wildcards in Snakemake, and line breaks and tabs break its "
                "lists; choose a directory without them"
            )
        return os.path.normpath(path)
