"""Whether narrowed models are as fast as their FLOPs promise.

    python benchmarks/speed.py --checkpoint 7net-0 --out benchmarks/results/speed.csv
    python benchmarks/speed.py --family escn --untrained '{"sphere_channels": 128}' --name eSCN-MD

For several shapes: parameters, FLOPs ratio, measured time ratio of energy, forces and stress
by the family's own code in turn with the parent, and how much of the promised speed-up is
reached. Times do not depend on the weights, so that an untrained model serves where no checkpoint
is at hand. ``--out`` keeps the table; rows of other models in the file stay.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
import torch
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list

from irrepress.core.devices import resolve_device
from irrepress.core.family import make_untrained
from irrepress.core.groups import widths_of
from irrepress.core.model import Model
from irrepress.core.statistics import DataStatistics
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.families import get_family
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
    parser.add_argument("--name", help="of the model in the table; else its checkpoint or family")
    parser.add_argument("--out", type=Path, help="CSV file that keeps the table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    label = arguments.name or (
        arguments.checkpoint if arguments.untrained is None else arguments.family
    )
    parent = make_parent(arguments).to(resolve_device(arguments.device))
    groups = parent.groups()
    scores = compute_scores(parent, [], criteria=["magnitude"]).of("magnitude")
    crystal = reference_crystal(parent.elements, arguments.atoms)
    # Neighbours per atom of the very crystal that is timed: FLOPs depend on them.
    edges = len(neighbor_list("i", crystal.to_atoms(), parent.cutoff))
    costs = parent.cost_model(neighbours=edges / len(crystal))
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
        plan, _ = parent.native_plan(plan_for_widths(groups, scores, widths))
        model = parent.narrow(plan)
        cost = costs(plan.widths(groups))
        times = time_side_by_side([model, parent], crystal, repeats=arguments.repeats)
        speedup, promised = 1 / times.ratios[0], full.flops / cost.flops
        rows.append(
            {
                "model": label,
                "kept": name,
                "parameters": model.parameter_count(),
                "faster by FLOPs": promised,
                "faster, measured": speedup,
                "spread [%]": 100 * times.ratio_spreads[0],
                "code": parent.family.own_code(),
            }
        )
        if times.busy:
            print(f"the machine is busy: {times.busy}", file=sys.stderr)
    table = pd.DataFrame(rows)
    if arguments.out is not None:
        record(table, arguments.out)
    print(f"{label} on {parent.device}, {len(crystal)} atoms, {edges} edges")
    print(table.to_markdown(index=False, floatfmt=".3g"))


def record(table: pd.DataFrame, path: Path) -> None:
    """Put the rows of a model into a CSV file, in place of those that it had there."""
    if path.is_file():
        before = pd.read_csv(path)
        table = pd.concat([before[~before["model"].isin(table["model"])], table])
    table.to_csv(path, index=False)


def make_parent(arguments: argparse.Namespace) -> Model:
    """Load the checkpoint, or make the untrained model."""
    if arguments.untrained is None:
        return get_family(arguments.family).load(arguments.checkpoint)
    numbers = [atomic_numbers[symbol] for symbol in arguments.elements]
    sample = [reference_crystal(numbers, arguments.atoms)]
    data = DataStatistics(dict.fromkeys(numbers, 0.0), shift=0.0, scale=1.0, sample=sample)
    return make_untrained(get_family(arguments.family), arguments.untrained, data, seed=0)


if __name__ == "__main__":
    main()
