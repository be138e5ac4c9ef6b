"""Config of datasets that are read, from files or published ones."""

import os
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from irrepress.catalogue.datasets.registry import PUBLISHED
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import nearest
from irrepress.core.quantities import QUANTITIES
from irrepress.core.section import (
    EACH_ONCE,
    Count,
    Integer,
    Number,
    PathText,
    Section,
    Seed,
    Text,
)

Format = Literal[
    "auto", "extxyz", "extxyz-archive", "ase", "ase-db", "mace-hdf5", "mptrj-json", "deepmd"
]
# ASE's names of formats that irrepress reads itself.
ALIASES: dict[str, Format] = {"xyz": "extxyz", "db": "ase-db", "aselmdb": "ase-db"}


class LabelKeys(Section):
    """Keys of the labels in files.

    null: ASE's results, otherwise an unambiguous key (`Energy`, `force`, `virial`), which is noted;
    false: the label is not read.

    Example:
        >>> LabelKeys(energy="dft_energy", stress=False).forces is None
        True
    """

    energy: Text | Literal[False] | None = None
    forces: Text | Literal[False] | None = None
    stress: Text | Literal[False] | None = None
    group: Text | None = Field(
        None,
        description="Key of a name that related structures share, such as a trajectory; "
        "null: the key 'group'.",
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
    """Units of a source, which are converted when it is read.

    Example:
        >>> Units(stress_order="xx yy zz xy yz zx").stress_order
        'xx yy zz xy yz xz'
    """

    energy: Literal["eV", "meV", "Hartree", "Ry", "kcal/mol", "kJ/mol"] = "eV"
    length: Literal["Å", "Bohr", "nm"] = Field("Å", description="Unit of positions and cells.")
    forces: ForceUnit | None = Field(None, description="null: unit of energy per unit of length.")
    forces_sign: Literal["forces", "gradient"] = Field(
        "forces", description="gradient: the values are gradients, that is, minus the forces."
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
        description="virial: the values are virials, -stress × volume, in the unit of energy.",
    )
    stress_sign: Literal["ase", "vasp"] = Field(
        "ase", description="ase: positive under tension; vasp: positive under compression."
    )
    stress_order: str | None = Field(
        None,
        description="Order of the six components of a stress, such as 'xx yy zz xy yz xz' (VASP) "
        "or 'xx yy zz xy xz yz' (LAMMPS); null: Voigt order, 'xx yy zz yz xz xy', as "
        "in ASE.",
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
    """Fractions of the splits of a dataset. Structures of the same group are never separated.

    Example:
        >>> Split(train=0.8, valid=0.1, test=0.1).by
        'group'
    """

    train: Number = Field(0.7, ge=0, le=1)
    valid: Number = Field(0.15, ge=0, le=1)
    test: Number = Field(0.15, ge=0, le=1)
    by: Literal["group", "composition", "structure"] = Field(
        "group",
        description="What keeps structures in one split: the recorded group (parent crystal, info "
        "key 'group' of a file), the reduced composition, or nothing (each structure "
        "on its own).",
    )

    @model_validator(mode="after")
    def _sum(self) -> "Split":
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + valid + test must be 1, they are {total:g}")
        return self


class Counts(Section):
    """Maximum number of structures in each split; null: no limit.

    Example:
        >>> Counts(train=1000).valid is None
        True
    """

    train: Count | None = None
    valid: Count | None = None
    test: Count | None = None


def _only_false(value: Any) -> Any:
    if value is not False:
        raise ValueError(
            "neither false (structures only), null (the source's own labels) nor a model such as "
            "{family: sevennet, checkpoint: 7net-l3i5}"
        )
    return value


def _kind_of_labels(value: Any) -> str:
    return LABEL_TAGS[0] if isinstance(value, dict | ModelRef) else LABEL_TAGS[1]


# Tags in pydantic's locations, which are no keys of the file.
LABEL_TAGS = ("ModelRef", "Literal[False]")
ReadLabels = Annotated[
    Annotated[ModelRef, Tag(LABEL_TAGS[0])]
    | Annotated[Literal[False], BeforeValidator(_only_false), Tag(LABEL_TAGS[1])],
    Discriminator(_kind_of_labels),
]


class _Read(Section):
    """Settings shared by all datasets that are read and not generated."""

    labels: ReadLabels | None = Field(
        None,
        description="null: the source's own labels; false: structures only; a model: the labels "
        "are its predictions. With false or a model, structures without labels are taken, and the "
        "source's own labels are dropped and counted.",
    )
    counts: Counts | None = Field(None, description="Maximum sizes of the splits.")
    bad_frames: Literal["stop", "skip"] = Field(
        "stop",
        description="What to do with a frame with missing or unreasonable labels: stop with a "
        "message, or skip and count it.",
    )
    seed: Seed = 0


class Files(_Read):
    """A dataset in the user's files: extxyz (also .xz, .gz), databases, or what else ASE reads.

    Example:
        >>> Files(source="files", paths=["silicon.xyz"], units=Units(energy="Hartree")).format
        'auto'
    """

    source: Literal["files"]
    paths: Annotated[list[Text], EACH_ONCE] = Field(
        min_length=1,
        description="Files, folders of them, and patterns such as data/*.extxyz or runs/**/OUTCAR; "
        "~ and environment variables are expanded.",
    )
    valid_paths: Annotated[list[Text], EACH_ONCE] = Field(
        default=[], description="Files that form the valid split."
    )
    test_paths: Annotated[list[Text], EACH_ONCE] = Field(
        default=[], description="Files that form the test split."
    )
    format: Format | str = Field(
        "auto",
        description="Format of the files; auto: from their names and first bytes. Formats of ASE, "
        "such as vasp-out, are allowed (see ase info --formats).",
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
        "elements; null: frames with config_type=IsolatedAtom, otherwise a "
        "least-squares fit.",
    )
    level_of_theory: str = Field("unknown", description="Such as PBE or wB97M-D3.")
    licence: str = "unknown"
    citation: str = ""
    limit: Count | None = Field(None, description="Read at most this many structures per file.")
    split: Split = Split()

    @model_validator(mode="after")
    def _no_keys_of_labels_that_are_dropped(self) -> "Files":
        if self.labels is None:
            return self
        given = [f"keys.{name}" for name in QUANTITIES if getattr(self.keys, name)]
        given += ["isolated_atoms"] * (self.isolated_atoms is not None)
        if given:
            what = "false" if self.labels is False else "the model's"
            raise ValueError(
                f"{given[0]} asks for labels of the files, but labels is {what}; leave one out"
            )
        return self

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        ours = [*get_args(Format), *ALIASES]
        if name in ours:
            return name
        from ase.io.formats import ioformats  # takes half a second, which few configs need

        if name in ioformats:
            return name
        close = get_close_matches(name, [*ours, *ioformats], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"no format {name!r}; {hint}Known: {', '.join(get_args(Format))}, and the formats of "
            "ASE, which 'ase info --formats' lists"
        )


class Published(_Read):
    """A published dataset, downloaded from its official source and verified.

    Example:
        >>> Published(source="published", name="rmd17-aspirin", fold=2).fold
        2
    """

    source: Literal["published"]
    name: str = Field(description="Such as mptrj, rmd17-aspirin or 3bpa.")
    accept_licence: str | None = Field(
        None,
        description="Name of a restrictive licence that you accept. A run without it shows the "
        "licence.",
    )
    fold: Integer = Field(
        1, ge=1, le=5, description="Number of the official split, if there are several (rMD17)."
    )
    unassigned: Literal["test", "none"] = Field(
        "test",
        description="Where structures outside the official split go (rMD17: 98,000).",
    )
    limit: Count | None = Field(None, description="Read at most this many structures.")
    split: Split | None = Field(
        None,
        description="Fractions of splits that the source does not define; null: 0.7, 0.15 and "
        "0.15, keeping groups together.",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PUBLISHED:
            raise ValueError(f"no published dataset {name!r}; {nearest(name, PUBLISHED)}")
        return name


class KeptLabels(Section):
    """Settings for keeping the labels that models make, so that each is made once.

    Example:
        >>> KeptLabels(directory="~/labels").directory is None
        False
    """

    directory: PathText | None = Field(
        "labels",
        description="Shared by all studies; ~ and environment variables are expanded. It may be "
        "deleted at any time. null: labels are kept in datasets only.",
    )


class Downloads(Section):
    """Settings for downloads of published datasets and checkpoints.

    Example:
        >>> Downloads(directory="data/downloads", retries=2).retries
        2
    """

    directory: PathText = Field(
        "downloads", description="Shared by all studies; ~ and environment variables are expanded."
    )
    mirror: PathText | None = Field(
        None,
        description="Local directory to try before the network, with FILE or COLLECTION/FILE as "
        "named by the official source (for a checkpoint, COLLECTION is its family).",
    )

    retries: Integer = Field(
        5,
        ge=0,
        le=1000,
        description="Number of retries for each address before the next one is tried.",
    )
    timeout: Number = Field(30.0, gt=0, le=86400, description="Seconds without receiving data.")

    @field_validator("directory", "mirror")
    @classmethod
    def _plain(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if any(character in "{}" or not character.isprintable() for character in path):
            raise ValueError(
                "braces are wildcards in Snakemake, and line breaks and tabs break its lists; "
                "choose a directory without them"
            )
        return os.path.normpath(path)
