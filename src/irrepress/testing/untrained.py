"""Models with random weights, to be trained from scratch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.family import Family, make_untrained
from irrepress.core.statistics import DataStatistics, measure_statistics
from irrepress.core.structure import Structure
from irrepress.testing.comparisons import assert_close
from irrepress.testing.fixtures import sample_structures


class UntrainedProtocol:
    """Tests of `Family.untrained`; a subclass gives three fixtures.

    - ``family``: the adapter.
    - ``larger``: settings of a larger model than the smallest.
    - ``wrong``: settings that the family cannot build.
    """

    @pytest.fixture(scope="class")
    def structures(self) -> list[Structure]:
        """`sample_structures`."""
        return sample_structures()

    @pytest.fixture(scope="class")
    def data(self, structures: list[Structure]) -> DataStatistics:
        """Statistics of the structures, with reference energies that are about right."""
        return measure_statistics(
            {1: -1.0, 6: -7.0, 8: -5.0, 11: -2.0, 14: -5.4, 17: -3.0}, structures
        )

    def test_small_model_of_the_datas_elements(
        self, family: Family, data: DataStatistics, structures: list[Structure]
    ) -> None:
        model = make_untrained(family, {}, data, seed=1)
        assert model.dtype == torch.float32
        assert list(model.elements) == data.elements
        assert model.parameter_count() < 500_000
        prediction = model.predict(model.batch(structures))
        for structure, energy in zip(structures, prediction.energy.tolist(), strict=True):
            constant = sum(data.references[int(z)] + data.shift for z in structure.numbers)
            assert abs(energy - constant) < 3 * data.scale * len(structure)
        assert 0 < float(prediction.forces.std()) < 10 * data.scale

    def test_references_and_scale_are_the_datas(
        self, family: Family, data: DataStatistics, structures: list[Structure]
    ) -> None:
        moved = replace(data, references={z: e + z for z, e in data.references.items()})
        scaled = replace(data, scale=2 * data.scale)
        found = []
        for statistics in (data, moved, scaled):
            model = make_untrained(family, {}, statistics, seed=1)
            found.append(model.predict(model.batch(structures)))
        base, up, large = found
        added = torch.tensor([float(s.numbers.sum()) for s in structures])
        torch.testing.assert_close((up.energy - base.energy).float(), added, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(up.forces, base.forces)
        torch.testing.assert_close(large.forces, 2 * base.forces, rtol=1e-4, atol=1e-6)

    def test_weights_follow_from_the_seed(self, family: Family, data: DataStatistics) -> None:
        state = torch.random.get_rng_state()
        first, again, other = (
            torch.cat(
                [
                    p.detach().flatten()
                    for p in make_untrained(family, {}, data, seed=s).parameters()
                ]
            )
            for s in (1, 1, 2)
        )
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_settings_change_the_shape_and_files_keep_it(
        self,
        family: Family,
        larger: dict[str, Any],
        data: DataStatistics,
        structures: list[Structure],
        tmp_path: Path,
    ) -> None:
        model = make_untrained(family, larger, data, seed=1)
        small = make_untrained(family, {}, data, seed=1)
        assert model.shape() != small.shape()
        assert model.parameter_count() > small.parameter_count()
        model.save(tmp_path / "model.pt")
        loaded = family.load(tmp_path / "model.pt")
        assert loaded.shape() == model.shape()
        expected = model.predict(model.batch(structures))
        assert_close(loaded.predict(loaded.batch(structures)), expected, 1e-5, 1e-5)

    def test_unknown_and_impossible_settings_are_refused(
        self, family: Family, wrong: dict[str, Any], data: DataStatistics
    ) -> None:
        with pytest.raises(UserError, match=r"untrained\.colour: not a setting of .* Known: "):
            make_untrained(family, {"colour": "red"}, data, seed=1)
        with pytest.raises(UserError, match="untrained"):
            make_untrained(family, wrong, data, seed=1)
