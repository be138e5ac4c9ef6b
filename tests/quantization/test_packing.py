import copy

import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.quantization.packing import pack, unpack


@pytest.mark.parametrize(("bits", "smaller"), [(8, 3.0), (4, 4.0)])
def test_a_packed_model_is_smaller_and_comes_back(
    sevennet, small_sevennet, structures, tmp_path, bits, smaller
):
    path, native = tmp_path / "packed.pt", tmp_path / "model.pt"
    small_sevennet.save(native)
    pack(small_sevennet, path, bits=bits)
    raw = 4 * small_sevennet.parameter_count()
    # Against the bare weights: the native file holds constants of the network as well.
    overhead = 40_000
    assert path.stat().st_size < raw / smaller + overhead
    assert path.stat().st_size < native.stat().st_size

    back = unpack(sevennet, path)
    assert back.modal == small_sevennet.modal
    batch = small_sevennet.batch(structures)
    exact, rounded = (m.predict(batch) for m in (small_sevennet, back))
    change = (rounded.forces - exact.forces).abs().mean() / exact.forces.abs().mean()
    # Four bits are coarse for a network this narrow; eight are not.
    assert 0 < change < (0.05 if bits == 8 else 2)


def test_every_quantized_weight_is_within_half_a_step(sevennet, small_sevennet, tmp_path):
    pack(small_sevennet, tmp_path / "packed.pt")
    back = dict(unpack(sevennet, tmp_path / "packed.pt").network.named_parameters())
    for name, parameter in small_sevennet.network.named_parameters():
        largest = parameter.abs().max()
        assert (back[name] - parameter).abs().max() <= largest / 127 / 2 * 1.001, name


def test_equal_models_give_equal_files(small_sevennet, tmp_path):
    for name in ("one.pt", "two.pt"):
        pack(small_sevennet, tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_packing_twice_changes_nothing_more(sevennet, small_sevennet, tmp_path):
    pack(small_sevennet, tmp_path / "one.pt")
    once = unpack(sevennet, tmp_path / "one.pt")
    pack(once, tmp_path / "two.pt")
    twice = unpack(sevennet, tmp_path / "two.pt")
    for (name, a), b in zip(
        once.network.named_parameters(), twice.network.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8, msg=name)


def test_a_packed_file_runs_no_code(small_sevennet, tmp_path):
    path = tmp_path / "packed.pt"
    pack(small_sevennet, path)
    content = torch.load(path, weights_only=True)
    assert content["format"] == "irrepress-packed"


def test_a_truncated_file_is_one_clear_message(sevennet, small_sevennet, tmp_path):
    path = tmp_path / "packed.pt"
    pack(small_sevennet, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"packed\.pt: not a packed model, or truncated"):
        unpack(sevennet, path)


def test_a_native_model_is_not_a_packed_one(sevennet, small_sevennet, tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="not a packed model of irrepress"):
        unpack(sevennet, path)


def test_weights_that_are_nan_are_refused(small_sevennet, tmp_path):
    broken = copy.deepcopy(small_sevennet)
    with torch.no_grad():
        next(p for n, p in broken.network.named_parameters() if "linear" in n).fill_(float("nan"))
    with pytest.raises(UserError, match="NaN or infinite"):
        pack(broken, tmp_path / "packed.pt")
    assert not (tmp_path / "packed.pt").exists()


@pytest.fixture(scope="module")
def packed(small_sevennet, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "packed.pt"
    pack(small_sevennet, path)
    return path


def change_shape(content):
    entry = next(e for e in content["parameters"].values() if "matrices" in e)
    entry["shape"] = [7]


def first_matrix(content):
    entry = next(e for e in content["parameters"].values() if "matrices" in e)
    return entry["matrices"][0]


def last_scale(content, value):
    first_matrix(content)["scales"][-1] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(bits=3), "bits is '3', it must be 8 or 4"),
        (lambda c: c.update(bits=True), "bits is 'True', it must be 8 or 4"),
        (lambda c: c.pop("bits"), "the key 'bits' is missing"),
        (lambda c: c.pop("family"), "the key 'family' is missing"),
        (lambda c: c.pop("native"), "the key 'native' is missing"),
        (lambda c: c.pop("parameters"), "the key 'parameters' is missing"),
        (lambda c: c.update(parameters=[]), "parameters by their names"),
        (lambda c: c.update(family=7), "the name of a family"),
        (lambda c: c.update(dtype="int8"), "float32 or float64"),
        (lambda c: c.update(version=None), "packed format None"),
        (lambda c: c.update(native={"cutoff": 5}), "its config does not build a model"),
        (lambda c: c["parameters"].popitem(), "the file has no parameter"),
        (lambda c: c["parameters"].update(other=1), "the model has no parameter 'other'"),
        (change_shape, r"its shape is \[7\], the model's"),
        (lambda c: first_matrix(c).update(bits=3), "bits is 3, it must be 8 or 4"),
        (lambda c: first_matrix(c).update(bits=4), "values must be torch.uint8"),
        (lambda c: first_matrix(c).pop("values"), "'values' is missing"),
        (lambda c: first_matrix(c).update(shape=[1, 1]), "scales has the shape"),
        (lambda c: first_matrix(c).update(shape=[-1, 2]), "the shape of a matrix is"),
        (lambda c: first_matrix(c).update(shape=5), "cannot unpack"),
        (lambda c: first_matrix(c).update(start=-4), "cannot begin at -4"),
        (lambda c: first_matrix(c).update(start=10**9), "cannot begin at 1000000000"),
        (lambda c: first_matrix(c).update(scales=torch.ones(3)), "scales has the shape"),
        (lambda c: first_matrix(c).update(scales="one"), "scales must be a floating-point tensor"),
        (lambda c: last_scale(c, float("nan")), "scales contains NaN"),
        (lambda c: last_scale(c, -1.0), "scales must be positive"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_message(
    sevennet, packed, tmp_path, change, message
):
    content = torch.load(packed, weights_only=True)
    change(content)
    path = tmp_path / "packed.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=rf"packed\.pt: .*{message}"):
        unpack(sevennet, path)


def test_numbers_of_float64_stay_what_they_are(
    sevennet, small_sevennet_double, structures, tmp_path
):
    pack(small_sevennet_double, tmp_path / "packed.pt")
    back = unpack(sevennet, tmp_path / "packed.pt")
    assert back.dtype == torch.float64
    exact = dict(small_sevennet_double.network.named_parameters())
    content = torch.load(tmp_path / "packed.pt", weights_only=True)
    kept = [name for name, entry in content["parameters"].items() if "exact" in entry]
    assert kept
    for name, parameter in back.network.named_parameters():
        if name in kept:
            assert torch.equal(parameter, exact[name])
    del content["dtype"]  # as older files
    torch.save(content, tmp_path / "packed.pt")
    assert unpack(sevennet, tmp_path / "packed.pt").dtype == torch.float32
