"""Small sources of every format, written as their documentation says, and what is in them."""

import io
import json
import lzma
import tarfile
import zipfile
import zlib

import ase.io
import h5py
import lmdb
import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.db.row import AtomsRow
from ase.io.jsonio import encode
from ase.units import Bohr, GPa, kcal, mol

LABELS = ("energy", "forces", "stress")


def salt(index=0, repeat=1, **changes):
    """Rattled salt with energy, forces and stress; ``changes`` replace results, None drops."""
    atoms = bulk("NaCl", "rocksalt", a=5.64).repeat(repeat)
    atoms.rattle(0.05, seed=index)
    return labelled(atoms, index, **changes)


def water(index=0, **changes):
    """Rattled water with energy and forces, not periodic."""
    atoms = molecule("H2O")
    atoms.rattle(0.02, seed=index)
    return labelled(atoms, index, **{"stress": None, **changes})


def labelled(atoms, seed=0, **changes):
    """Give atoms random labels."""
    rng = np.random.default_rng(seed)
    results = {
        "energy": -6.5 + rng.normal() / 10,
        "forces": rng.normal(size=(len(atoms), 3)),
        "stress": rng.normal(size=6) / 100,
    }
    results.update(changes)
    results = {key: value for key, value in results.items() if value is not None}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def real_frames(shared_data, name, count=20):
    """Return frames of a published set."""
    with lzma.open(shared_data / f"{name}.extxyz.xz", "rt") as stream:
        return ase.io.read(io.StringIO(stream.read()), f":{count}", format="extxyz")


def assert_frame(structure, atoms, tolerance=1e-7):
    """Assert that a structure has the geometry and the labels of atoms, and no others."""
    assert structure.numbers.tolist() == atoms.numbers.tolist()
    assert structure.pbc.tolist() == atoms.pbc.tolist()
    np.testing.assert_allclose(structure.positions, atoms.positions, atol=tolerance, rtol=1e-7)
    np.testing.assert_allclose(structure.cell, atoms.cell.array, atol=tolerance, rtol=1e-7)
    for label in LABELS:
        value = np.asarray(getattr(structure, label))
        if label in atoms.calc.results:
            expected = atoms.calc.results[label]
            np.testing.assert_allclose(value, expected, atol=tolerance, rtol=1e-7)
        else:
            assert np.isnan(value).all()


def assert_records(records, images, tolerance=1e-7):
    """Assert that records are the structures of atoms, in their order."""
    records = list(records)
    errors = [record for record in records if isinstance(record, Exception)]
    assert not errors, errors[0]
    for record, atoms in zip(records, images, strict=True):
        assert_frame(record.structure, atoms, tolerance)


# --- writers, each of one official layout -------------------------------------------------


def extxyz_bytes(images):
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    return text.getvalue().encode()


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path, members, compression="gz"):
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_db(path, images):
    with connect(path, append=False) as database:
        for index, atoms in enumerate(images):
            database.write(atoms, data={"sid": f"agm{index:09d}_0_{index}"}, name=f"row {index}")
    return path


def write_aselmdb(path, images, deleted=(), plain=False):
    """Write what fairchem's LMDBDatabase and ase-db-backends write.

    Keys are the ids as text, values JSON compressed by zlib. ``plain``: arrays as nested lists,
    as fairchem's writer leaves them; else as ASE's JSON.
    """
    with lmdb.open(str(path), subdir=False, map_size=1 << 28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            for index, atoms in enumerate(images):
                row = AtomsRow(atoms)
                values = {
                    key: row[key]
                    for key in ("numbers", "positions", "pbc", *LABELS)
                    if row.get(key) is not None
                }
                values["cell"] = np.asarray(row.cell)
                values["data"] = {"sid": f"agm{index:09d}_0_{index}"}
                values["ctime"] = values["mtime"] = 24.7
                if plain:
                    values = {
                        key: value.tolist() if isinstance(value, np.ndarray) else value
                        for key, value in values.items()
                    }
                text = json.dumps(values) if plain else encode(values)
                transaction.put(str(index + 1).encode(), zlib.compress(text.encode()))
            for number in deleted:
                transaction.delete(str(number).encode())
            transaction.put(b"nextid", zlib.compress(str(len(images) + 1).encode()))
            if deleted:
                transaction.put(b"deleted_ids", zlib.compress(json.dumps(list(deleted)).encode()))
    return path


def write_mace_hdf5(path, images, batch=None, old=False, drop_last=False):
    """Write what ``mace_prepare_data`` writes, in its layout of today or in the older one.

    Args:
        path: the file.
        images: periodic or not.
        batch: frames a group; today's MACE writes one group for all.
        old: properties and weights beside the positions; zeros with the weight 0 for what is
            absent.
        drop_last: repeat the last frame.
    """
    images = [*images, images[-1]] if drop_last else list(images)
    batch = batch or len(images)
    with h5py.File(path, "w") as file:
        file.attrs["drop_last"] = drop_last
        for start in range(0, len(images), batch):
            group = file.create_group(f"config_batch_{start // batch}")
            for index, atoms in enumerate(images[start : start + batch]):
                config = group.create_group(f"config_{index}")
                config["atomic_numbers"] = atoms.numbers
                config["positions"] = atoms.positions
                config["cell"] = atoms.cell.array
                config["pbc"] = tuple(atoms.pbc.tolist())
                config["weight"] = 1.0
                config["config_type"] = atoms.info.get("config_type", "Default")
                properties = config if old else config.create_group("properties")
                weights = config if old else config.create_group("property_weights")
                blank = {"energy": 0.0, "forces": atoms.positions * 0, "stress": np.zeros(6)}
                for name in (*LABELS, "virials", "dipole", "charges"):
                    value = atoms.calc.results.get(name)
                    weight = f"{name}_weight" if old else name
                    if value is None:
                        value = blank.get(name, "None") if old else "None"
                        weights[weight] = 0.0
                    else:
                        weights[weight] = 1.0
                    properties[name] = value
    return path


def write_rmd17(path, images, train, test, fold=1, molecule="ethanol", index_first=False):
    """Write rmd17.tar.bz2: frames of one molecule in kcal/mol and one official split."""
    content = io.BytesIO()
    unit = kcal / mol
    np.savez(
        content,
        nuclear_charges=images[0].numbers.astype(np.uint8),
        coords=np.array([atoms.positions for atoms in images]),
        energies=np.array([atoms.calc.results["energy"] / unit for atoms in images]),
        forces=np.array([atoms.calc.results["forces"] / unit for atoms in images]),
        old_indices=np.arange(len(images))[::-1],
        old_energies=np.zeros(len(images)),
        old_forces=np.zeros((len(images), len(images[0]), 3)),
    )
    arrays = {f"rmd17/npz_data/rmd17_{molecule}.npz": content.getvalue()}
    other = (fold % 5) + 1
    indices = {
        f"rmd17/splits/index_{part}_{number:02d}.csv": "".join(f"{i}\n" for i in rows).encode()
        for number, parts in ((other, {"train": [0], "test": [1]}), (fold, {}))
        for part, rows in (parts or {"train": train, "test": test}).items()
    }
    members = {"rmd17/readme.txt": b"revised MD17\n"}
    members |= indices | arrays if index_first else arrays | indices
    return write_tar(path, members, "bz2")


def mptrj_frame(atoms, material):
    """Return a frame as MPtrj's JSON has it, with pymatgen's dictionary of a structure."""
    results = atoms.calc.results
    sites = [
        {
            "species": [{"element": symbol, "occu": 1}],
            "abc": abc.tolist(),
            "xyz": xyz.tolist(),
            "label": symbol,
            "properties": {},
        }
        for symbol, abc, xyz in zip(
            atoms.symbols, atoms.get_scaled_positions(wrap=False), atoms.positions, strict=True
        )
    ]
    xx, yy, zz, yz, xz, xy = -results["stress"] / (0.1 * GPa)
    return {
        "structure": {
            "@module": "pymatgen.core.structure",
            "@class": "Structure",
            "charge": None,
            "lattice": {"matrix": atoms.cell.array.tolist(), "a": 1.0, "alpha": 90.0},
            "sites": sites,
        },
        "uncorrected_total_energy": results["energy"],
        "corrected_total_energy": results["energy"] - 0.687,
        "energy_per_atom": results["energy"] / len(atoms),
        "force": results["forces"].tolist(),
        "stress": [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]],
        "magmom": [0.0] * len(atoms),
        "mp_id": material,
        "bandgap": 0.1,
    }


def write_mptrj_json(path, materials):
    content = {
        material: {
            f"{material}-0-{index}": mptrj_frame(atoms, material)
            for index, atoms in enumerate(images)
        }
        for material, images in materials.items()
    }
    path.write_text(json.dumps(content))
    return path


def write_deepmd(folder, images, sets=1, mixed=False, pad=0, dtype=np.float64):
    """Write one system of DeePMD-kit in its npy format; ``pad``: atoms that are none."""
    elements = sorted({symbol for atoms in images for symbol in atoms.symbols})
    folder.mkdir(parents=True)
    (folder / "type_map.raw").write_text("\n".join(elements) + "\n")
    types = np.array([[elements.index(symbol) for symbol in atoms.symbols] for atoms in images])
    if not images[0].pbc.any():
        (folder / "nopbc").touch()
    padded = np.pad(types, ((0, 0), (0, pad)), constant_values=-1)
    first = np.zeros(padded.shape[1], dtype=int) if mixed else types[0]
    (folder / "type.raw").write_text("\n".join(map(str, first)) + "\n")
    for number, rows in enumerate(np.array_split(np.arange(len(images)), sets)):
        chosen = [images[row] for row in rows]
        arrays = {
            "coord": [np.pad(atoms.positions, ((0, pad), (0, 0))) for atoms in chosen],
            "energy": [atoms.calc.results["energy"] for atoms in chosen],
            "force": [np.pad(atoms.calc.results["forces"], ((0, pad), (0, 0))) for atoms in chosen],
        }
        if images[0].pbc.any():
            arrays["box"] = [atoms.cell.array for atoms in chosen]
        if "stress" in images[0].calc.results:
            arrays["virial"] = [
                -atoms.get_stress(voigt=False) * atoms.get_volume() for atoms in chosen
            ]
        target = folder / f"set.{number:03d}"
        target.mkdir()
        for name, values in arrays.items():
            values = np.array(values, dtype=dtype)
            shape = (len(rows),) if name == "energy" else (len(rows), -1)
            np.save(target / f"{name}.npy", values.reshape(shape))
        if mixed:
            np.save(target / "real_atom_types.npy", padded[rows].astype(np.int32))
    return folder


def write_deepmd_raw(folder, images):
    """Write one system of DeePMD-kit in its raw format."""
    write_deepmd(folder, images)
    for file in (folder / "set.000").iterdir():
        array = np.load(file)
        np.savetxt(folder / f"{file.stem}.raw", array.reshape(len(array), -1))
        file.unlink()
    (folder / "set.000").rmdir()
    return folder


def write_schnetpack(path, images, units, distance="Ang", **properties):
    """Write what SchNetPack 2's ASEAtomsData does.

    Args:
        path: the database.
        images: labelled atoms.
        units: property -> unit.
        distance: unit of positions and cells.
        properties: property -> result of ASE's that it is, divided by the number beside it.
    """
    with connect(path, append=False) as database:
        database.metadata = {"_distance_unit": distance, "_property_unit_dict": units}
        for atoms in images:
            plain = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            if distance == "Bohr":
                plain.set_cell(plain.cell / Bohr)
                plain.positions /= Bohr
            data = {
                name: np.atleast_1d(atoms.calc.results[key]) / factor
                for name, (key, factor) in properties.items()
            }
            database.write(plain, data=data)
    return path


def members_of(folder, root=""):
    """Return the files of a directory as members of an archive."""
    return {
        f"{root}{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def hydrogens(count, spacing=1.5):
    """Return a row of hydrogen atoms, for frames whose size matters."""
    positions = np.arange(count)[:, None] * [spacing, 0, 0]
    return labelled(Atoms(f"H{count}", positions), stress=None)
