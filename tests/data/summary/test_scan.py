"""The summary agrees with a count by hand, and finds what is wrong, and only that."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.data import atomic_numbers, chemical_symbols
from ase.units import GPa
from faultless import labelled
from samples import random_structures

from irrepress.data.config import Files, Split
from irrepress.data.convert import store_files
from irrepress.data.splits import reduced_composition
from irrepress.data.store import StructureStore
from irrepress.data.summary.records import DatasetSummary
from irrepress.data.summary.scan import summarize
from irrepress.data.summary.suspects import KINDS, LISTED, MIN_ENERGIES

SPLITS = {"train": np.arange(0, 60), "valid": np.arange(60, 70), "test": np.arange(75, 90)}


def counts(summary):
    return {s.kind: s.count for s in summary.suspects}


class TestNumbers:
    @pytest.fixture(scope="class")
    def structures(self):
        """Random ones of six elements; only one, outside the train part, holds gold."""
        chosen = [replace(s, numbers=s.numbers % 6 + 1) for s in random_structures(100)]
        chosen[80] = replace(chosen[80], numbers=np.full(len(chosen[80]), 79))
        return chosen

    @pytest.fixture
    def summary(self, structures, make_store):
        return summarize(make_store(structures, SPLITS))

    def test_structures_atoms_and_parts(self, structures, summary):
        assert summary.structures == 100
        assert summary.atoms == sum(map(len, structures))
        held = {part: (p.structures, p.atoms) for p in summary.parts for part in [p.part]}
        expected = {
            part: (len(indices), sum(len(structures[i]) for i in indices))
            for part, indices in {**SPLITS, "none": [*range(70, 75), *range(90, 100)]}.items()
        }
        assert held == expected

    def test_elements_and_compositions(self, structures, summary):
        for element in summary.elements:
            holding = [i for i, s in enumerate(structures) if element.number in s.numbers]
            assert element.structures == len(holding)
            assert element.train_structures == sum(i < 60 for i in holding)
            assert element.atoms == sum((s.numbers == element.number).sum() for s in structures)
        assert [e.number for e in summary.elements] == sorted(
            set(np.concatenate([s.numbers for s in structures]).tolist())
        )
        assert summary.compositions == len({reduced_composition(s.numbers) for s in structures})

    def test_periodicity_and_labels(self, structures, summary):
        directions = Counter(str(s.pbc.sum()) for s in structures)
        assert summary.periodicity == {n: directions[n] for n in "3210"}
        assert summary.labelled == {"energy": 100, "forces": 100, "stress": 66}

    def test_distributions(self, structures, make_store):
        store = make_store(structures, SPLITS)
        summary = summarize(store)
        references = store.info.reference_energies
        residuals = [
            (s.energy - sum(references[z] for z in s.numbers.tolist())) / len(s)
            for s in structures
            if 79 not in s.numbers  # a fit to the train part does not know it
        ]
        assert summary.energies.count == len(residuals) == 99
        single = np.array(residuals, dtype=np.float32).astype(float)
        edges = summary.energies.edges
        inside = single[(single >= edges[0]) & (single <= edges[-1])]
        assert summary.energies.counts == np.histogram(inside, edges)[0].tolist()
        lengths = np.linalg.norm(np.concatenate([s.forces for s in structures]), axis=1)
        assert summary.forces.count == len(lengths)
        assert summary.forces.maximum == lengths.max()
        pressures = [-s.stress[:3].sum() / 3 / GPa for s in structures]
        assert summary.pressures.maximum == pytest.approx(np.nanmax(pressures), rel=1e-6)
        assert summary.sizes.quantiles["0.5"] == np.median([len(s) for s in structures])

    def test_the_record_survives_a_file(self, summary, tmp_path):
        summary.save(tmp_path / "summary.json")
        assert DatasetSummary.load(tmp_path / "summary.json") == summary


class TestSuspects:
    def find(self, summary, kind):
        (found,) = [s for s in summary.suspects if s.kind == kind]
        return found

    def test_good_structures_are_not_flagged(self, good, make_store):
        summary = summarize(make_store(good))
        assert summary.suspects == [] and summary.suspicious == 0

    def test_an_exploding_force(self, good, make_store):
        forces = good[12].forces.copy()
        forces[3] = [0, 80, -60]
        good[12] = replace(good[12], forces=forces)
        summary = summarize(make_store(good, {"valid": [12], "train": range(12)}))
        assert counts(summary) == {"force": 1}
        (suspect,) = self.find(summary, "force").listed
        assert (suspect.index, suspect.part, suspect.group) == (12, "valid", "parent 3")
        assert suspect.value == pytest.approx(100)
        assert suspect.reason == "100 eV/Å on atom 3 (Si)"

    @pytest.mark.parametrize(("shift", "side"), [(5.0, "above"), (-5.0, "below")])
    def test_an_energy_outlier(self, good, make_store, shift, side):
        copper = [labelled(bulk("Cu"), seed=i) for i in range(100, 200)]
        copper[5] = replace(copper[5], energy=copper[5].energy + shift)
        # The fit sees it, too; the median follows, and with it what all others lie around.
        summary = summarize(make_store(copper))
        assert counts(summary) == {"energy": 1}
        (suspect,) = self.find(summary, "energy").listed
        assert suspect.index == 5 and f"eV/atom {side} the median" in suspect.reason

    def test_few_energies_have_no_outliers(self, good, make_store):
        few = good[: MIN_ENERGIES - 1]
        few[5] = replace(few[5], energy=1e4)
        assert counts(summarize(make_store(few))) == {}

    def test_an_element_that_the_train_part_lacks_is_no_outlier(self, good, make_store):
        numbers = np.where(good[1].numbers == 11, 19, 17)
        good.append(replace(good[1], numbers=numbers, energy=-500.0))
        splits = {"train": range(40), "test": [40]}
        summary = summarize(make_store(good, splits))
        assert counts(summary) == {}
        assert summary.energies.count == 40
        potassium = next(e for e in summary.elements if e.number == 19)
        assert (potassium.structures, potassium.train_structures) == (1, 0)
        assert potassium.reference_energy is None
        # With a reference energy of its own it is judged like any other.
        known = {e.number: e.reference_energy for e in summary.elements} | {19: -3.0}
        assert counts(summarize(make_store(good, splits, reference_energies=known))) == {
            "energy": 1
        }

    def test_a_huge_stress(self, good, make_store):
        good[4] = replace(good[4], stress=np.array([0, 0, 0, 0, -120 * GPa, 0]))
        summary = summarize(make_store(good))
        assert counts(summary) == {"stress": 1}
        (suspect,) = self.find(summary, "stress").listed
        assert suspect.index == 4 and suspect.value == pytest.approx(120)

    def test_atoms_too_close(self, good, make_store):
        positions = good[8].positions.copy()
        # through the periodic boundary, and twice the sum of radii away within the cell
        positions[1] = positions[0] + good[8].cell[0] - [0.9, 0, 0]
        good[8] = replace(good[8], positions=positions)
        summary = summarize(make_store(good))
        assert counts(summary) == {"distance": 1}
        (suspect,) = self.find(summary, "distance").listed
        assert suspect.index == 8 and suspect.value == pytest.approx(0.9)
        assert suspect.reason.startswith("atoms 0 (Si) and 1 (Si) 0.9 Å apart, 0.41 of")

    def test_a_duplicate_in_another_part_comes_first(self, good, make_store):
        copies = [
            replace(good[0], energy=good[0].energy + 0.5 * len(good[0])),
            good[0],
            good[2],
        ]
        structures = [*good, *copies]
        splits = {"train": [*range(40), 40, 41], "test": [42]}
        summary = summarize(make_store(structures, splits))
        found = self.find(summary, "duplicate")
        assert found.count == 3
        assert [s.index for s in found.listed] == [42, 40, 41]
        assert [s.value for s in found.listed] == [2, 0, 0]
        assert found.listed[0].reason == "the atoms of structure 2 (train)"
        assert found.listed[1].reason.endswith("(train); energies differ by 500 meV/atom")

    def test_a_rotated_copy_in_another_part_is_a_leak(self, good, make_store):
        copy = good[1].to_atoms()
        copy.rotate(30, (1, 1, 0), rotate_cell=True)
        moved = replace(good[1], positions=copy.positions, cell=np.array(copy.cell))
        assert counts(summarize(make_store([*good, moved]))) == {}
        splits = {"train": range(40), "test": [40]}
        summary = summarize(make_store([*good, moved], splits))
        assert counts(summary) == {"leak": 1}
        (suspect,) = self.find(summary, "leak").listed
        assert (suspect.index, suspect.part) == (40, "test") and suspect.value < 1e-6
        assert suspect.reason == "the positions of structure 1 (train)"

    def test_a_single_atom(self, good, make_store):
        atom = replace(
            good[0],
            numbers=np.array([26]),
            positions=np.zeros((1, 3)),
            forces=np.zeros((1, 3)),
            pbc=np.zeros(3, dtype=bool),
            energy=-3.0,
        )
        summary = summarize(make_store([*good, atom]))
        assert counts(summary) == {"single": 1}
        assert self.find(summary, "single").listed[0].reason == "Fe alone"

    def test_flat_cells(self, good, make_store):
        thin = labelled(bulk("H", "sc", a=3.0), stress=True)
        thin = replace(thin, cell=np.diag([1.2, 3.0, 3.0]), energy=-3.0)
        # A slab whose third vector is no direction of periodicity is not flat.
        slab = fcc111("Cu", (1, 1, 3), a=3.6)
        slab.cell[2] = [0, 0, 0.1]
        summary = summarize(make_store([*good, thin, labelled(slab, seed=1)]))
        assert counts(summary) == {"flat": 1}
        (suspect,) = self.find(summary, "flat").listed
        assert suspect.index == 40 and suspect.value == pytest.approx(1.2)

    def test_the_worst_are_listed_and_all_are_counted(self, good, make_store):
        rng = np.random.default_rng(0)
        sizes = rng.uniform(60, 900, 3 * LISTED)
        exploding = [
            replace(labelled(bulk("Cu"), seed=100 + i), forces=np.array([[0, 0, size]]))
            for i, size in enumerate(sizes)
        ]
        summary = summarize(make_store([*good, *exploding]))
        assert counts(summary) == {"force": 3 * LISTED}
        assert summary.suspicious == 3 * LISTED
        listed = self.find(summary, "force").listed
        assert [s.value for s in listed] == pytest.approx(sorted(sizes, reverse=True)[:LISTED])

    def test_a_structure_with_two_faults_is_one(self, good, make_store):
        good[4] = replace(
            good[4], forces=np.full_like(good[4].forces, 99.0), stress=np.full(6, 1.0)
        )
        summary = summarize(make_store(good))
        assert counts(summary) == {"force": 1, "stress": 1}
        assert summary.suspicious == 1

    def test_every_kind_says_what_it_means(self):
        assert all(k.title and k.unit and k.meaning for k in KINDS.values())


class TestLabels:
    def test_without_labels(self, good, make_store):
        bare = [
            replace(
                s,
                energy=np.nan,
                forces=np.full_like(s.forces, np.nan),
                stress=np.full(6, np.nan),
            )
            for s in good
        ]
        summary = summarize(make_store(bare))
        assert (summary.energies, summary.forces, summary.pressures) == (None, None, None)
        assert summary.labelled == {"energy": 0, "forces": 0, "stress": 0}
        assert all(e.reference_energy is None for e in summary.elements)

    def test_labels_on_some_structures(self, good, make_store):
        good[3] = replace(good[3], energy=np.nan)
        good[7] = replace(good[7], forces=np.full_like(good[7].forces, np.nan))
        summary = summarize(make_store(good))
        assert summary.labelled == {"energy": 39, "forces": 39, "stress": 30}
        assert summary.energies.count == 39
        assert summary.forces.count == sum(map(len, good)) - len(good[7])

    def test_a_store_without_reference_energies_is_fitted_as_a_whole(self, good, make_store):
        store = make_store(good, {"test": range(40)})
        summary = summarize(replace_references(store, {}))
        symbols = {chemical_symbols[e.number]: e.reference_energy for e in summary.elements}
        assert symbols["Cu"] == pytest.approx(-3.0, abs=0.05)
        assert abs(summary.energies.quantiles["0.5"]) < 0.05

    def test_elements_without_a_given_reference_energy_have_none(self, good, make_store):
        given = {atomic_numbers[s]: -3.0 for s in ("Si", "Na", "Cl", "H", "C", "O")}
        summary = summarize(replace_references(make_store(good), given))
        assert summary.energies.count == 30  # none for copper
        copper = next(e for e in summary.elements if e.number == 29)
        assert copper.reference_energy is None


def replace_references(store: StructureStore, energies: dict[int, float]) -> StructureStore:
    store.info = replace(store.info, reference_energies=energies)
    return store


def test_memory_grows_by_bytes_a_structure(make_store):
    """Ten times the structures cost keys, energies and flags, not their atoms."""

    silicon = labelled(bulk("Si", cubic=True))

    def peak(count):
        rng = np.random.default_rng(0)
        moved = (silicon.positions + rng.normal(scale=0.01, size=(8, 3)) for _ in range(count))
        store = make_store(replace(silicon, positions=positions) for positions in moved)
        tracemalloc.start()
        summarize(store)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(1100), peak(3300)
    assert (many - few) / 2200 < 250  # bytes; the atoms alone are 450


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("foundation/mptrj-random", 0.01),
        ("foundation/alexandria-random", 0),
        ("rmd17/aspirin-train", 0),
        ("rmd17/ethanol-test", 0),
        ("molecules/3bpa-300K-train", 0),
        ("crystals/si-train", 0),
        ("crystals/gst-valid", 0),
    ],
)
def test_hardly_anything_is_flagged_in_published_data(shared_data, tmp_path, name, most):
    path = str(shared_data / f"{name}.extxyz.xz")
    store_files(
        tmp_path / "data.h5",
        # All in one part: silicon's set holds some strained crystals in several orientations.
        Files(source="files", paths=[path], limit=300, split=Split(train=1, valid=0, test=0)),
    )
    summary = summarize(StructureStore(tmp_path / "data.h5"))
    assert summary.suspicious <= most * summary.structures


def test_extreme_frames_are_found_in_published_data(shared_data, tmp_path):
    path = str(shared_data / "foundation/mptrj-high-stress.extxyz.xz")
    store_files(tmp_path / "data.h5", Files(source="files", paths=[path], limit=100))
    summary = summarize(StructureStore(tmp_path / "data.h5"))
    assert counts(summary)["stress"] == 100
    assert counts(summary)["duplicate"] == 1
