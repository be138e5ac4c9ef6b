"""Whether narrowed models are as fast as their FLOPs promise.

    python benchmarks/speed.py --checkpoint 7net-0 --atoms 64
    python benchmarks/speed.py --family escn --untrained '{"sphere_channels": 128}' --elements Na Cl

For several shapes: parameters, FLOPs ratio, measured time ratio of energy, forces and stress
side by side with the parent, and how much of the promised speed-up is reached. Times do not
depend on the weights, so that an untrained model serves where no checkpoint is at hand.
"""

import argparse
import json

import torch
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list

from irrepress.devices import resolve_device
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.families import get_family
from irrepress.families.base import Family, Model
from irrepress.families.statistics import DataStatistics
from irrepress.pruning.blocks import widths_of
from irrepress.pruning.budget import plan_for_widths
from irrepress.pruning.scoring import compute_scores

SHAPES = {
    "three quarters of the channels": (0.75, None),
    "half of the channels": (0.5, None),
    "a quarter of the channels": (0.25, None),
    "highest order cut": (1.0, -1),
    "half of the channels, highest order cut": (0.5, -1),
    "scalars only": (1.0, 0),
}


def main() -> None:
    """Narrow to each shape, time it with the parent, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sevennet")
    parser.add_argument("--checkpoint", default="7net-0")
    parser.add_argument("--untrained", type=json.loads, help="settings in place of a checkpoint")
    parser.add_argument("--elements", nargs="+", default=["Si"], help="of the untrained model")
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = str(resolve_device(arguments.device))
    family = get_family(arguments.family)
    parent = make_parent(family, arguments)
    groups = family.groups(parent)
    scores = compute_scores(family, parent, [], criteria=["magnitude"], device=device).of(
        "magnitude"
    )
    crystal = reference_crystal(parent.elements, arguments.atoms)
    # Neighbours per atom of the very crystal that is timed: FLOPs depend on them.
    edges = len(neighbor_list("i", crystal.to_atoms(), parent.cutoff))
    costs = family.cost_model(parent, neighbours=edges / len(crystal))
    full = costs(widths_of(groups))
    highest = max(g.l for g in groups)
    rows = []
    for name, (share, order) in SHAPES.items():
        lmax = highest if order is None else highest - 1 if order == -1 else order
        widths = {
            g.width: g.round_up(int(g.channels * share)) if g.axis == "channel" else 1
            for g in groups
        }
        widths.update({g.width: 0 for g in groups if g.l > lmax})
        plan, _ = family.native_plan(parent, plan_for_widths(groups, scores, widths))
        model = family.narrow(parent, plan)
        cost = costs(plan.widths(groups))
        parent_seconds, seconds = time_side_by_side(
            family, [parent, model], crystal, repeats=arguments.repeats, device=device
        )
        speedup, promised = parent_seconds / seconds, full.flops / cost.flops
        rows.append(
            {
                "shape": name,
                "parameters": model.parameter_count(),
                "flops_speedup": promised,
                "measured_speedup": speedup,
                "reached": speedup / promised,
            }
        )
    if arguments.json:
        print(json.dumps({"device": device, "atoms": len(crystal), "rows": rows}, indent=2))
        return
    name = arguments.checkpoint if arguments.untrained is None else arguments.family
    print(f"{name} on {device}, {len(crystal)} atoms, {edges} edges")
    print(f"{'shape':42s} {'parameters':>10s} {'FLOPs':>7s} {'time':>7s} {'reached':>8s}")
    for row in rows:
        print(
            f"{row['shape']:42s} {row['parameters']:10,d} {row['flops_speedup']:6.2f}x "
            f"{row['measured_speedup']:6.2f}x {row['reached']:8.2f}"
        )


def make_parent(family: Family, arguments: argparse.Namespace) -> Model:
    """Load the checkpoint, or make the untrained model."""
    if arguments.untrained is None:
        return family.load(arguments.checkpoint)
    numbers = [atomic_numbers[symbol] for symbol in arguments.elements]
    sample = [reference_crystal(numbers, arguments.atoms)]
    data = DataStatistics(dict.fromkeys(numbers, 0.0), shift=0.0, scale=1.0, sample=sample)
    return family.untrained(arguments.untrained, data, seed=0)


if __name__ == "__main__":
    main()
