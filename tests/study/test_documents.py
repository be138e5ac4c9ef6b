import pytest

from irrepress.core.errors import UserError
from irrepress.study.documents import Document
from irrepress.study.reading import load_config, parse_config


@pytest.fixture
def document(tmp_path):
    def write(text):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return Document(path)

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"the key 'a' occurs twice \(lines 1, 3\)"),
        ("b: {c: 1, c: 1}", r"the key 'c' occurs twice \(in line 1\)"),
        ("- x: {y: 1}\n- x: 1\n  y: 2\n  x: 3\n", r"the key 'x' occurs twice \(lines 2, 4\)"),
        ("no: 1\nno: 2\n", "the key 'no' occurs twice"),
        ('{"a": 1,\n\t"b": {"c": 1, "c": 2}}', "the key 'c' occurs twice in one object"),
        ("a: &x {b: 1}\nd: {<<: *x, b: 2, b: 3}", "the key 'b' occurs twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused(document, text, message):
    with pytest.raises(UserError, match=rf"study\.yaml: {message}.*remove one"):
        document(text)


def test_merged_keys_may_be_overridden_and_aliases_repeated(document):
    text = "a: &a {steps: 1, ema: 1}\nb: &b {<<: *a, steps: 2}\nc: *b\nd: {<<: [*b, *a], clip: 3}\n"
    content = document(text).content
    assert content["b"] == content["c"] == {"steps": 2, "ema": 1}
    assert content["d"] == {"steps": 2, "ema": 1, "clip": 3}


@pytest.mark.parametrize(
    ("word", "number"), [("010", 8), ("-07", -7), ("12:30", 750), ("1:30:00", 5400)]
)
def test_numbers_to_another_base_than_they_seem_are_refused(document, word, number):
    with pytest.raises(UserError, match=f"line 2: YAML reads {word} as the number {number};"):
        document(f"name: x\nseed: {word}\n")
    assert document(f"seed: '{word}'\nlimit: 0x10\nzero: 0\n").content["seed"] == word


@pytest.mark.parametrize(
    "text", ["a: [1, 2", "a: 2024-13-01", "[" * 3000, "a: " + "9" * 5000, "---\na: 1\n---\nb: 2"]
)
def test_what_yaml_cannot_read_is_one_message(document, text):
    with pytest.raises(UserError, match=r"study\.yaml: not a YAML file"):
        document(text)


def test_words_are_remembered_as_they_were_written(document):
    found = document("a: &a {NO: [x, off, 1.10]}\nb: {<<: *a, c: ~}\n'7': yes\n")
    assert found.word(("a", False), key=True) == "NO"
    assert found.word(("b", "NO", 1)) == "off"
    assert found.word(("b", "NO", 2)) == "1.10"
    assert found.word(("7",)) == "yes"
    assert found.word(("b",)) is None and found.word(("z", 3)) is None


NAMES = """\
name: 2024-01-01
datasets:
  NO: {source: files, paths: [a.extxyz, 7], licence: 1.10, citation: ~}
models:
  off: {family: sevennet, checkpoint: on}
scoring: {dataset: NO, structures: yes}
recovery: {dataset: NO, precision: 32, steps: 1e3, batch_size: 4e-1}
sweep: {criteria: [no], explicit: {a: {irreps: 64}}}
evaluation: {dataset: 'NO'}
"""


def test_what_yaml_reads_otherwise_is_named_as_it_was_written(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(NAMES)
    with pytest.raises(UserError) as caught:
        load_config(path)
    lines = [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]
    expected = {
        "datasets: YAML reads the name NO as false; write it in quotes: 'NO'",
        "models: YAML reads the name off as false; write it in quotes: 'off'",
        "name: YAML reads 2024-01-01 as a date; write it in quotes: '2024-01-01'",
        "datasets.NO.paths.1: YAML reads 7 as a number; write it in quotes: '7'",
        "datasets.NO.licence: YAML reads 1.10 as a number; write it in quotes: '1.10'",
        "datasets.NO.citation: it is empty (as are null and ~ in YAML); write a value",
        "models.off.checkpoint: YAML reads on as true; write it in quotes: 'on'",
        "scoring.dataset: YAML reads NO as false; write it in quotes: 'NO'",
        "scoring.structures: true is a boolean, not a number",
        "recovery.dataset: YAML reads NO as false; write it in quotes: 'NO'",
        "recovery.precision: YAML reads 32 as a number; write it in quotes: '32'",
        "recovery.steps: YAML reads 1e3 as a string; write 1000",
        "sweep.explicit.a.irreps: YAML reads 64 as a number; write it in quotes: '64'",
    }
    assert expected <= set(lines), set(expected) - set(lines)
    assert any("sweep.criteria.0: YAML reads no as false; Known: " in line for line in lines)
    assert len(lines) == len(expected) + 2


def test_names_that_are_none_are_told_without_the_file():
    """As of ``snakemake --config``, of which no file is left."""
    content = {"name": "x", "models": {False: {}}, "datasets": {7: {}}}
    with pytest.raises(UserError, match=r"models: YAML reads the name .* as false; write it"):
        parse_config(content)
    with pytest.raises(UserError, match=r"datasets: YAML reads the name .* as a number; write it"):
        parse_config(content)
