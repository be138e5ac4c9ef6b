"""Crafted model files: whatever their pickles name, nothing of it runs."""

import functools
import io
import os
import pickle
import re
import zipfile

import pytest
import torch
from typer.testing import CliRunner

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.cli import app
from irrepress.core.errors import UserError
from irrepress.families.mace.package import Linear

ROOT = b"cmace.modules.models\nScaleShiftMACE\n"


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def with_pickle(path, content: bytes) -> None:
    """Write an archive of PyTorch that holds a pickle."""
    torch.save(torch.nn.Module(), path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, record in records.items():
            archive.writestr(name, content if name.endswith("/data.pkl") else record)


def calls(directory: str) -> dict[str, Call]:
    """Ways to make a directory, or to come to one: name -> object whose pickle does it."""
    from mace.tools.utils import setup_logger

    return {
        "os.mkdir": Call(os.mkdir, directory),
        "exec": Call(exec, f"import os; os.mkdir({directory!r})"),
        "eval": Call(eval, f"__import__('os').mkdir({directory!r})"),
        "import": Call(__import__, "antigravity"),
        "a function of mace": Call(setup_logger, "INFO", "x", directory),
        "torch.load": Call(torch.load, directory),
        "a partial": Call(functools.partial, os.mkdir, directory),
        "getattr of a class": Call(getattr, torch.nn.Module, "__subclasses__"),
        "getattr of a module of torch": Call(
            getattr, torch._C._VariableFunctionsClass, "from_file"
        ),
        "torch.from_file": Call(torch.from_file, directory, True, 8),
        "a codec": Call(__import__("_codecs").encode, "abc", "rot13"),
        "a constructor": Call(torch.nn.Linear, 1, 1),
        "a constructor of mace": Call(__import__("mace").modules.blocks.ScaleShiftBlock, 1.0, 0.0),
        "a constructor of e3nn": Call(Linear, "1x0e", "1x0e"),
    }


NAMES = list(calls(""))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_calls_are_refused_by_name(mace, tmp_path, name, protocol):
    path, ran = tmp_path / "trap.model", tmp_path / "ran"
    content = pickle.dumps(calls(str(ran))[name], protocol=protocol)
    with_pickle(path, ROOT + b"0" + content)  # a model's name first, which is thrown away
    for function in (mace.load, mace.calculator):
        with pytest.raises(UserError, match=r"trap\.model: .*(names|uses) .*"):
            function(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"(S'%s'\nios\nmkdir\n.",
        b"(cos\nmkdir\nS'%s'\no.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x01x0S'%s'\n\x85R.",
        b"\x80\x04\x8c\x05posix\x94\x8c\x05mkdir\x94h\x00h\x01\x93S'%s'\n\x85R.",
        # What a name of mace has in itself: mace.modules.models holds torch, numpy, ...
        b"\x80\x04\x8c\x13mace.modules.models\x8c\x0etorch.os.mkdir\x93S'%s'\n\x85R.",
        b"cmace.modules.models\nnp\n.",
        b"ctorch.nn.modules.module\nwarnings\n.",
    ],
    ids=["INST", "OBJ", "STACK_GLOBAL", "memo", "chain", "module", "module of torch"],
)
def test_other_operations_are_refused(mace, tmp_path, content):
    path, ran = tmp_path / "trap.model", tmp_path / "ran"
    with_pickle(path, ROOT + b"0" + content.replace(b"%s", os.fsencode(ran)))
    with pytest.raises(UserError, match=r"trap\.model: "):
        mace.load(path)
    assert not ran.exists()


@pytest.mark.parametrize("place", ["hook", "heads", "interactions"])
def test_a_call_inside_a_real_model_is_refused(mace, network_maker, tmp_path, place):
    network, path, ran = network_maker(), tmp_path / "trap.model", tmp_path / "ran"
    call = Call(os.mkdir, str(ran))
    if place == "hook":
        network._state_dict_hooks[0] = call
    elif place == "heads":
        network.heads = [call]
    else:
        network.interactions[0].avg_num_neighbors = call
    torch.save(network, path)
    with pytest.raises(UserError, match=r"trap\.model: its pickle names posix\.mkdir, which no"):
        mace.load(path)
    assert not ran.exists()


def test_inspecting_a_file_runs_nothing_of_it(network_maker, tmp_path):
    network, path, ran = network_maker(), tmp_path / "trap.model", tmp_path / "ran"
    network.interactions[0].extra = Call(exec, f"import os; os.mkdir({str(ran)!r})")
    torch.save(network, path)
    result = CliRunner().invoke(app, ["inspect", str(path), "--family", "mace"])
    assert result.exit_code == 2 and not ran.exists()
    assert re.search(r"trap\.model: its pickle names \w+\.exec, which no MACE model", result.output)


def test_code_of_graphs_and_compiled_maps_does_not_run(mace, network_maker, tmp_path, monkeypatch):
    """torch.fx's modules hold Python as text, e3nn's hold TorchScript: neither is needed."""
    network, path, ran = network_maker(), tmp_path / "trap.model", tmp_path / "ran"
    torch.save(network, path)
    expected = mace.load(path, dtype=torch.float64).network.state_dict()
    code = f"import os\nos.mkdir({str(ran)!r})\ndef forward(self): pass\n"
    from torch.fx.graph_module import reduce_graph_module

    network.trap = Call(reduce_graph_module, {"_code": code}, "")
    plain = type(network.node_embedding.linear).__getstate__

    def foreign(module):
        state = plain(module)
        return state | {"__codegen__": dict.fromkeys(state.get("__codegen__", {}), b"no script")}

    with monkeypatch.context() as patch:
        patch.setattr(type(network.node_embedding.linear), "__getstate__", foreign)
        torch.save(network, path)
    found = mace.load(path, dtype=torch.float64).network.state_dict()
    assert not ran.exists()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_a_pickle_before_the_archive_is_not_read(mace, network_maker, tmp_path):
    """Python finds an archive from its end, PyTorch reads a file from its start."""
    path, ran = tmp_path / "trap.model", tmp_path / "ran"
    archive = io.BytesIO()
    torch.save(network_maker(), archive)
    path.write_bytes(pickle.dumps(Call(os.mkdir, str(ran))) + archive.getvalue())
    with pytest.raises(UserError, match=r"trap\.model: "):
        mace.load(path)
    assert not ran.exists()


def test_torchscript_under_another_name_is_refused(mace, network_maker, tmp_path):
    path = tmp_path / "trap.model"
    torch.save(network_maker(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{path.stem}/constants.pkl", b"")
    with pytest.raises(UserError, match="TorchScript archive"):
        mace.load(path)


def test_activations_that_pickles_name_by_getattr_load(mace, network_maker, tmp_path):
    path = tmp_path / "model.model"
    torch.save(network_maker(gate="tanh"), path)
    assert mace.load(path).native["gate"] == "tanh"


def test_that_float64_is_rounded_is_told(mace, network_maker, tmp_path, caplog):
    path = tmp_path / "model.model"
    torch.save(network_maker(dtype=torch.float64), path)
    mace.load(path, dtype=torch.float64)
    assert not caplog.records
    mace.load(path)
    assert [r.message for r in caplog.records] == [
        f"{path}: its numbers are float64 and are used as float32, which rounds energies by 1e-7 "
        "of their size; to keep them, set dtype: float64 beside the checkpoint in the config"
    ]
