"""Files that people take for checkpoints."""

import gzip
import io
import json
import tarfile
import zipfile

import h5py
import pytest
import torch
from typer.testing import CliRunner

from irrepress.cli import app
from irrepress.core.errors import UserError
from irrepress.families.generic.file_kinds import check_kind, foreign_kind


def torch_script(path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(path)


def exported(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data/aotinductor/model/model.so", b"")


def archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/checkpoint.pth", b"")


def truncated(path):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1000)}, buffer)
    path.write_bytes(buffer.getvalue()[:-100])


def altered(path):
    torch.save({"a": torch.ones(1000)}, path)
    content = path.read_bytes()
    path.write_bytes(content.replace(torch.ones(100).numpy().tobytes(), bytes(400), 1))


def tarball(path):
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("checkpoint.pth"))


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["positions"] = [0.0]


def safetensors(path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


KINDS = {
    "TorchScript": (torch_script, "a TorchScript archive.*cannot be changed any more: give the"),
    "compiled": (exported, "a compiled model"),
    "zip": (archive, "an archive and no file of PyTorch; unpack it"),
    "truncated": (truncated, "a damaged or truncated archive; copy or download it again"),
    "altered": (altered, r"a damaged archive \(.*data/0 does not have its checksum\); copy or"),
    "tar": (tarball, r"compressed \(gzip\); unpack it"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"x")), r"compressed \(gzip\)"),
    "HDF5": (hdf5, "an HDF5 file"),
    "safetensors": (safetensors, "a safetensors file, which holds weights but no architecture"),
    "empty": (lambda path: path.write_bytes(b""), "empty; copy or download it again"),
    "page": (lambda path: path.write_text("\n<!DOCTYPE html>\n<html>"), "a web page; download the"),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        "a pointer of Git LFS .* git lfs pull",
    ),
    "YAML": (
        lambda path: path.write_text("cutoff: 5.0\n"),
        "a text that begins with 'cutoff",
    ),
    "directory": (lambda path: path.mkdir(), "a directory; give the file of a model in it"),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def wrong(request, tmp_path):
    """A file that is no checkpoint, and what is said of it."""
    make, message = request.param
    path = tmp_path / "model.pth"
    make(path)
    return path, message


def test_a_file_of_another_kind_is_named_with_the_mend(wrong):
    path, message = wrong
    with pytest.raises(UserError, match=rf"model\.pth: no checkpoint: it is {message}"):
        check_kind(path)


@pytest.mark.parametrize("family", ["sevennet", "mace", "escn"])
def test_every_family_names_it(wrong, family):
    from irrepress.catalogue.families import missing_packages
    from irrepress.families import get_family

    if missing_packages(family):
        pytest.skip(f"{family} is not installed in this environment")
    path, message = wrong
    with pytest.raises(UserError, match=message):
        get_family(family).load(path)


def test_inspect_names_it_once(wrong):
    path, _ = wrong
    result = CliRunner().invoke(app, ["inspect", str(path)])
    assert result.exit_code == 2
    (line,) = result.output.strip().splitlines()
    assert line.startswith(f"irrepress: {path}: no checkpoint: it is ")


def test_files_of_torch_may_be_checkpoints(tmp_path):
    for name, options in (("new.pt", {}), ("old.pt", {"_use_new_zipfile_serialization": False})):
        torch.save({"config": {}, "weights": torch.ones(3)}, tmp_path / name, **options)
        assert foreign_kind(tmp_path / name) is None
