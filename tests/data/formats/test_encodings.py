"""Texts as editors, shells and other systems leave them."""

import bz2
import codecs
import gzip
import io
import json

import pytest
from format_samples import assert_records, extxyz_bytes, salt, write_mptrj_json, write_zip
from vasp_samples import outcar

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys
from irrepress.data.formats.registry import guess_format, make_reader
from irrepress.data.formats.texts import text_in_utf8

IMAGES = [salt(index) for index in range(3)]
XYZ = extxyz_bytes(IMAGES)
MARKED = {
    "utf-8": codecs.BOM_UTF8 + XYZ,
    "utf-16-le": codecs.BOM_UTF16_LE + XYZ.decode().encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + XYZ.decode().encode("utf-16-be"),
    "utf-32": XYZ.decode().encode("utf-32"),
    "windows": XYZ.replace(b"\n", b"\r\n"),
    "windows utf-16": codecs.BOM_UTF16_LE + XYZ.decode().replace("\n", "\r\n").encode("utf-16-le"),
}


def records(path, *args):
    return make_reader("auto", [path], *args).records()


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz.txt", "a.dat", "frames"])
@pytest.mark.parametrize("kind", MARKED)
def test_marks_and_line_ends(tmp_path, name, kind):
    (tmp_path / name).write_bytes(MARKED[kind])
    assert guess_format(tmp_path / name) == "extxyz"
    assert_records(records(tmp_path / name), IMAGES)


@pytest.mark.parametrize("kind", ["utf-8", "utf-16-le"])
def test_compressed_and_in_archives(tmp_path, kind):
    for name, compress in (("a.xyz.gz", gzip.compress), ("a.bz2", bz2.compress)):
        (tmp_path / name).write_bytes(compress(MARKED[kind]))
        assert_records(records(tmp_path / name), IMAGES)
    path = write_zip(tmp_path / "a.zip", {"a.xyz": MARKED[kind]})
    assert_records(records(path), IMAGES)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_formats_that_ase_reads_and_json(tmp_path, encoding):
    (tmp_path / "OUTCAR").write_text(outcar(IMAGES), encoding=encoding)
    assert_records(records(tmp_path / "OUTCAR", LabelKeys(energy="free_energy")), IMAGES, 2e-6)
    plain = write_mptrj_json(tmp_path / "a.json", {"mp-1": IMAGES}).read_text()
    (tmp_path / "b.json").write_text(json.dumps(json.loads(plain)), encoding=encoding)
    assert_records(records(tmp_path / "b.json"), IMAGES, 1e-9)


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_text_is_recoded_in_pieces(size):
    text = "naïve 𝕏 größer\n" * 5000
    stream = text_in_utf8(io.BytesIO(text.encode("utf-16")))
    pieces = iter(lambda: stream.read(size), b"") if size > 1 else [stream.read()]
    assert b"".join(pieces).decode() == text
    assert text_in_utf8(io.BytesIO(b"")).read() == b""


def test_utf_16_that_is_cut_off(tmp_path):
    (tmp_path / "a.xyz").write_bytes(MARKED["utf-16-le"][:-41])
    with pytest.raises(UserError, match=r"a.xyz: frame 2: .*cut off"):
        list(records(tmp_path / "a.xyz"))


@pytest.mark.parametrize("suffix", ["", ".txt", ".dat"])
def test_a_text_of_something_else_is_no_extxyz(tmp_path, suffix):
    path = tmp_path / f"notes{suffix}"
    path.write_text("3 remarks\nthe lattice was hard to find\n")
    assert guess_format(path) == "ase"
    with pytest.raises(UserError, match=r"notes.*: .*set format"):
        list(records(path))
