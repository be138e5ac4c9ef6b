"""What files contain is told by SHA-256, computed once for each state of a file."""

import json
import os

import pytest

from irrepress.core.errors import UserError
from irrepress.core.files import sha256
from irrepress.study import contents
from irrepress.study.contents import Contents


@pytest.fixture
def reads(monkeypatch):
    """The files that were read."""
    found = []

    def counting(path):
        found.append(path)
        return sha256(path)

    monkeypatch.setattr(contents, "sha256", counting)
    monkeypatch.setattr(contents, "_SMALL", 0)
    return found


def test_a_file_is_read_once_for_each_state(tmp_path, reads):
    path, memory = tmp_path / "frames.extxyz", tmp_path / "memory" / "contents.json"
    path.write_bytes(b"one")
    first = Contents(memory).of(path)
    assert Contents(memory).of(path) == first == sha256(path)
    assert len(reads) == 1

    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    os.utime(path, ns=(times[0], times[1] + 10**9))  # touch
    assert Contents(memory).of(path) == first
    assert len(reads) == 2

    os.utime(path, ns=times)
    path.write_bytes(b"two")  # of the same length
    os.utime(path, ns=times)  # and under the same time
    assert Contents(memory).of(path) == sha256(path) != first


def test_a_damaged_memory_costs_time_only(tmp_path, reads):
    path, memory = tmp_path / "frames.extxyz", tmp_path / "contents.json"
    path.write_bytes(b"one")
    for text in ("{", "[1]", json.dumps({str(path): 1}), json.dumps({str(path): {"state": []}})):
        memory.write_text(text)
        assert Contents(memory).of(path) == sha256(path)
    assert len(reads) == 4


def test_several_files_in_their_order(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text(path.name)
    known = Contents(tmp_path / "contents.json")
    assert known.of_all(paths) != known.of_all(paths[::-1])
    assert known.of_all([]) is None
    with pytest.raises(UserError, match=r"c: cannot be read"):
        known.of_all([tmp_path / "c"])
