import json
from dataclasses import replace

from irrepress.data.layout import StoreInfo
from irrepress.data.notes import Note
from irrepress.data.writing import write_store


def test_summarize_tells_what_a_store_holds(run, structures, tmp_path):
    path = tmp_path / "own.h5"
    info = StoreInfo("a", "b", "c", level_of_theory="PBE", labels="PBE", checksum="")
    info = replace(info, notes=[Note("D taken as hydrogen", 3, "a.xyz: frame 1")])
    write_store(path, [*structures, structures[0]], info, {"train": [0, 1], "test": [2, 3]}, 0)
    result = run("summarize", path)
    assert result.exit_code == 0, result.output
    for text in (
        "4 with",
        "crystals 3, molecules 1",
        "duplicate",
        "of structure 0 (train)",
        "D taken as",
    ):
        assert text in result.output
    content = json.loads(run("summarize", path, "--json").output)
    assert (content["structures"], content["suspicious"]) == (4, 1)
    missing = run("summarize", tmp_path / "none.h5")
    assert missing.exit_code == 2 and "no such store" in missing.output


def test_datasets_lists_what_a_config_can_name(run):
    listed = run("datasets").output
    assert "mptrj" in listed and "rmd17-aspirin" in listed and "accept)" in listed
    one = run("datasets", "rmd17-aspirin")
    assert one.exit_code == 0, one.output
    assert "CC0" in one.output and "figshare" in one.output
    (entry,) = json.loads(run("datasets", "rmd17-aspirin", "--json").output)
    assert entry["counts"] == {"train": 50, "valid": 950}
    wrong = run("datasets", "rmd17-asprin")
    assert wrong.exit_code == 2
    assert "did you mean 'rmd17-aspirin'" in wrong.output
