"""Leaving out elements: lossless, recorded, and said where a family cannot."""

import copy
from types import SimpleNamespace

import torch

from irrepress.pruning.elements import keep_elements


def test_nothing_is_lost_and_the_record_tells_what_went(small_sevennet_double, structures):
    model = small_sevennet_double
    small, record = keep_elements(model, [14], "dataset silicon")
    assert small.elements == (14,)
    assert record["elements"] == ["Si"] and record["of"] == "dataset silicon"
    assert record["left_out"] == len(model.elements) - 1
    assert record["parameters_before"] == model.parameter_count() > small.parameter_count()
    found, expected = (m.predict(m.batch(structures[:1])) for m in (small, model))
    assert torch.allclose(found.energy, expected.energy, rtol=1e-12)
    assert torch.allclose(found.forces, expected.forces, rtol=0, atol=1e-12)


def test_a_model_without_other_elements_stays(small_sevennet):
    same, record = keep_elements(small_sevennet, small_sevennet.elements, "x")
    assert same is small_sevennet and record["left_out"] == 0


def test_a_family_that_cannot_says_so(small_sevennet, caplog):
    model = copy.copy(small_sevennet)
    model.family = SimpleNamespace(name="sevennet")
    same, record = keep_elements(model, [14], "dataset silicon")
    assert same is model and record["left_out"] == 0
    (line,) = (r.getMessage() for r in caplog.records)
    assert "family sevennet cannot be restricted to fewer elements" in line
    assert f"keeps all {len(small_sevennet.elements)}" in line
