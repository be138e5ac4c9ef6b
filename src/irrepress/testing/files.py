"""Files in the family's own format, and who loads them."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from irrepress.catalogue.families import loading_line
from irrepress.core.errors import UserError
from irrepress.core.family import Family
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.testing.comparisons import assert_close, labels_of
from irrepress.testing.fixtures import FamilyFixtures


class FileTests(FamilyFixtures):
    """Tests of `Model.save`, `Family.load`, `Family.build` and `Family.calculator`."""

    @pytest.mark.parametrize("size", [0, 10, 1000, 0.5, 0.99])
    def test_a_truncated_file_is_refused(
        self, family: Family, narrowed: Model, tmp_path: Path, size: float
    ) -> None:
        narrowed.save(tmp_path / "whole.pt")
        content = (tmp_path / "whole.pt").read_bytes()
        cut = size if isinstance(size, int) else int(size * len(content))
        (tmp_path / "cut.pt").write_bytes(content[:cut])
        with pytest.raises(UserError, match=r"cut\.pt: .*(empty|damaged)"):
            family.load(tmp_path / "cut.pt", modal=narrowed.modal)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_file_with_a_number_that_is_none_is_refused(
        self, family: Family, model: Model, tmp_path: Path, value: float
    ) -> None:
        """As one flipped bit, or a training that diverged, leaves it."""
        damaged = copy.deepcopy(model)
        # A parameter of the readout: every family writes those as they are.
        parts = damaged.parameter_roles()
        name = next(name for name, part in parts.items() if part == "readout")
        with torch.no_grad():
            dict(damaged.named_parameters())[name].view(-1)[-1] = value
        path = tmp_path / "damaged.model"
        damaged.save(path)
        message = r"damaged\.model: 1 of \d+ values of the parameter \S+ are NaN or infinite"
        with pytest.raises(UserError, match=message):
            family.load(path, modal=model.modal)

    def test_copy_saves_the_same_bytes(self, narrowed: Model, tmp_path: Path) -> None:
        narrowed.save(tmp_path / "model.pt")
        copy.deepcopy(narrowed).save(tmp_path / "copy.pt")
        assert (tmp_path / "copy.pt").read_bytes() == (tmp_path / "model.pt").read_bytes()

    def test_saved_model_is_the_same(
        self, family: Family, narrowed: Model, structures: list[Structure], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.pt"
        narrowed.save(path)
        loaded = family.load(path, modal=narrowed.modal, dtype=torch.float64)
        found = loaded.predict(loaded.batch(structures))
        expected = narrowed.predict(narrowed.batch(structures))
        assert_close(found, expected, 1e-4, floor=1e-3)  # saved in float32
        assert loaded.shape() == narrowed.shape()
        assert loaded.parameter_count() == narrowed.parameter_count()
        assert loaded.native == narrowed.native

        loaded.save(tmp_path / "again.pt")
        assert (tmp_path / "again.pt").read_bytes() == path.read_bytes()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["again.pt", "model.pt"]

    def test_calculator_agrees(
        self, family: Family, narrowed: Model, structures: list[Structure], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.pt"
        narrowed.save(path)
        model = family.load(path, modal=narrowed.modal)
        calculator = family.calculator(path, modal=narrowed.modal)
        for structure in structures:
            expected = labels_of(model, structure)
            atoms = replace(structure, energy=np.nan).to_atoms()
            atoms.calc = calculator
            scale = np.abs(expected.forces).max()
            assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-5)
            assert np.abs(atoms.get_forces() - expected.forces).max() < 1e-4 * scale + 1e-5
            if structure.pbc.all():
                stress = atoms.get_stress()
                assert np.abs(stress - expected.stress).max() < 1e-4 * np.abs(stress).max() + 1e-6

    def test_the_line_that_users_are_given_loads_it(
        self, family: Family, narrowed: Model, structures: list[Structure], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.pt"
        narrowed.save(path)
        atoms = replace(structures[0], energy=np.nan).to_atoms()
        exec(loading_line(family.name, path, narrowed.modal), {"atoms": atoms})
        expected = labels_of(family.load(path, modal=narrowed.modal), structures[0])
        assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-5)

    def test_build_makes_the_same_shape(self, family: Family, narrowed: Model) -> None:
        built = family.build(narrowed.native, modal=narrowed.modal)
        assert built.shape() == narrowed.shape()
        names = {name: p.shape for name, p in narrowed.network.named_parameters()}
        assert {name: p.shape for name, p in built.network.named_parameters()} == names
