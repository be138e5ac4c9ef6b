"""The registry is well-formed, and says so when a name is not in it."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import pytest

from irrepress.catalogue.datasets.organic import RMD17_MOLECULES, RMD17_STUDY
from irrepress.catalogue.datasets.registry import PUBLISHED, check_licence, get_file, get_published
from irrepress.catalogue.entry import Licence, RemoteFile
from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.registry import READERS

ENTRIES = pytest.mark.parametrize("entry", PUBLISHED.values(), ids=PUBLISHED)
DIGITS = {"md5": 32, "sha256": 64}


def all_files(entry):
    return (*entry.files, *entry.tables)


def test_names_every_dataset_of_the_study():
    named = {"mptrj", "mptrj-json", "salex", "spice-maceoff23", "wbm", "3bpa", "acac"}
    named |= {f"rmd17-{molecule}" for molecule in RMD17_MOLECULES}
    metals = ("cu", "sn", "ti", "v", "w")
    named |= {
        f"dpa2-{name}" for name in ("sse-pbe", "h2o-pd", "agau-pbe", "almgcu", "hfo2", *metals)
    }
    assert named <= set(PUBLISHED)
    assert len(RMD17_MOLECULES) == 10


def test_the_study_takes_eight_molecules():
    assert len(set(RMD17_STUDY)) == 8 and set(RMD17_STUDY) <= set(PUBLISHED)
    assert set(PUBLISHED) & {"rmd17-benzene", "rmd17-naphthalene"} - set(RMD17_STUDY)


@ENTRIES
def test_addresses_are_encrypted_and_name_hosts(entry):
    for file in all_files(entry):
        for url in (*file.urls, *([file.page] if file.page else [])):
            parts = urlsplit(url)
            assert parts.scheme == "https" and "." in parts.netloc and parts.path, url
        assert len(set(file.urls)) == len(file.urls)
        # This one answers programs with an empty page.
        assert not any("//figshare.com/ndownloader" in url for url in file.urls)
        # Who cannot download it must be told where it is.
        assert file.page


@ENTRIES
def test_checksums_are_of_the_length_of_their_kind(entry):
    for file in all_files(entry):
        assert file.size is None or file.size > 0
        if file.checksum is not None:
            algorithm, _, digest = file.checksum.partition(":")
            assert re.fullmatch(f"[0-9a-f]{{{DIGITS[algorithm]}}}", digest), file.checksum


@ENTRIES
def test_says_what_it_is_and_whom_to_cite(entry):
    assert entry.name == entry.name.lower()
    assert entry.description.strip() and entry.level_of_theory.strip()
    assert entry.structures > 0
    for doi in entry.citation.split(", "):
        assert re.fullmatch(r"10\.\d{4,5}/\S+", doi), doi
    assert entry.licence.name and urlsplit(entry.licence.url).scheme == "https"
    assert entry.licence.terms or not entry.licence.restricted
    assert set(entry.labels) <= {"energy", "forces", "stress"}
    assert entry.split_by in ("group", "composition", "structure")


@ENTRIES
def test_keys_units_and_options_are_those_of_the_reader(entry):
    LabelKeys(**entry.keys)
    units = Units(**entry.units)
    reader = READERS[entry.format]
    assert set(entry.options) <= {"parts", "labels", "group_pattern"} | reader.OPTIONS
    # Units that a format fixes are the entry's.
    assert units == units.model_copy(update=dict(reader.UNITS))


@ENTRIES
def test_parts_and_isolated_atoms_are_files_of_the_dataset(entry):
    names = [file.name for file in entry.files]
    for glob, part in entry.options.get("parts", {}).items():
        assert part in ("train", "valid", "test")
        assert any(fnmatchcase(name, glob) for name in names), glob
    assert entry.isolated_atoms is None or entry.isolated_atoms in names


def test_a_name_stands_for_one_file_within_a_collection():
    seen = {}
    for entry in PUBLISHED.values():
        for file in all_files(entry):
            key = (entry.collection.lower(), file.name.lower())
            assert seen.setdefault(key, file) == file, key
            assert get_file(entry.collection, file.name) == file
            assert not file.name.endswith((".partial", ".sha256")) and "/" not in file.name


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="'mptraj'; did you mean 'mptrj'"):
        get_published("mptraj")
    with pytest.raises(UserError, match="did you mean 'rmd17-aspirin'"):
        get_published("rmd17-asprin")
    with pytest.raises(UserError, match="did you mean 'rmd17'"):
        get_file("rmd-17", "rmd17.tar.bz2")
    with pytest.raises(UserError, match=r"did you mean 'rmd17\.tar\.bz2'"):
        get_file("rmd17", "rmd17.tar.gz")


def test_a_licence_that_restricts_use_must_be_accepted_by_name():
    licence = Licence("ASL", "https://example.org/asl", restricted=True, terms="No commerce.")
    entry = replace(PUBLISHED["acac"], licence=licence)
    check_licence(PUBLISHED["acac"], None)
    check_licence(entry, "ASL")
    with pytest.raises(UserError, match=r"ASL: No commerce\. Read https://example\.org/asl"):
        check_licence(entry, None)
    with pytest.raises(UserError, match="it is 'MIT'"):
        check_licence(entry, "MIT")


def test_entries_cannot_be_changed():
    with pytest.raises(AttributeError):
        RemoteFile("a.zip", (), None).name = "b.zip"
