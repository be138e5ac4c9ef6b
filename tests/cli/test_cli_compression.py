import json

import ase.io
import pytest
from ase.build import bulk

from irrepress.study.cards import Card

TRAINING = ("--steps", 2, "--set", "batch_size=2", "--set", "validate_every=1", "--device", "cpu")


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "frames.extxyz"
    frames = []
    for seed in range(10):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.info["energy"] = -40.0 - 0.01 * seed
        frames.append(atoms)
    ase.io.write(path, frames)
    return path


@pytest.fixture(scope="module")
def small(run, saved, frames, tmp_path_factory):
    """A model that the command has pruned."""
    path = tmp_path_factory.mktemp("small") / "small.pt"
    options = ("--flops", 0.5, "--set", "multiple=2", "--set", "floor=2", "--set", "structures=4")
    done = run("prune", saved, frames, "--out", path, *options, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "FLOPs per atom" in done.output and "SevenNetCalculator" in done.output
    return path


def test_steps_from_file_to_file(run, small, frames, tmp_path):
    compensated, trained, distilled = (tmp_path / f"{name}.pt" for name in "abc")
    steps = [
        ("compensate", small, frames, "--out", compensated, "--device", "cpu"),
        ("finetune", compensated, frames, "--out", trained, *TRAINING),
        ("distill", compensated, frames, "--out", distilled, *TRAINING),
    ]
    for arguments in steps:
        done = run(*arguments)
        assert done.exit_code == 0, done.output
    made = {path: Card.load(path.with_suffix(".card.json")).stages for path in (trained, distilled)}
    assert [s["stage"] for s in made[trained]] == ["pruned", "compensated", "finetuned"]
    assert [s["stage"] for s in made[distilled]] == ["pruned", "compensated", "distilled"]
    assert json.loads(run("card", trained).output)["stages"] == made[trained]


def test_compare_puts_models_side_by_side(run, small, saved, frames):
    arguments = ("compare", small, saved, frames, "--timing-atoms", 8, "--timing-repeats", 1)
    found = json.loads(run(*arguments, "--device", "cpu", "--json").stdout)
    first, second = found["models"]
    assert first["parameters"] < second["parameters"] and second["time_ratio"] == 1
    assert found["structures"] == 10 and first["errors"]["energy_mae"] > 0
    output = run(*arguments, "--device", "cpu").output
    assert "time ratio" in output and "energy MAE" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prune", "MODEL", "FRAMES", "--out", "OUT"), "nothing is asked for"),
        (("prune", "MODEL", "FRAMES", "--flops", "0.5", "--out", "MODEL"), "exists already"),
        (("prune", "MODEL", "FRAMES", "--flops", "0.0001", "--out", "OUT"), "cannot be reached"),
        (("prune", "MODEL", "absent.extxyz", "--flops", "0.5", "--out", "OUT"), "absent.extxyz"),
        (("prune", "MODEL", "--flops", "0.5", "--out", "OUT", "--set", "x"), "NAME=VALUE"),
        (("finetune", "MODEL", "BARE", "--out", "OUT"), "has no labels"),
        (("finetune", "absent.pt", "FRAMES", "--out", "OUT"), "absent.pt: there is no such file"),
        (("compensate", "MODEL", "FRAMES", "--out", "OUT"), "was not pruned"),
        (("distill", "MODEL", "FRAMES", "--out", "MODEL"), "exists already"),
    ],
)
def test_mistakes_are_one_message(run, saved, frames, tmp_path, arguments, message):
    bare = tmp_path / "bare.extxyz"
    ase.io.write(bare, [bulk("Si", cubic=True)] * 10)
    places = {"MODEL": saved, "FRAMES": frames, "OUT": tmp_path / "out.pt", "BARE": bare}
    done = run(*(places.get(argument, argument) for argument in arguments), "--device", "cpu")
    assert done.exit_code == 2, done.output
    assert message in done.output and "Traceback" not in done.output
    assert not (tmp_path / "out.pt").exists()


def test_an_interruption_is_one_line_and_leaves_nothing(run, saved, frames, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("irrepress.training.trainer._fit", interrupted)
    done = run("finetune", saved, frames, "--out", tmp_path / "out.pt", *TRAINING)
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "irrepress: interrupted"
    assert list(tmp_path.iterdir()) == []
