"""The model as torch-sim runs it, in batches: `model` makes torch-sim's model."""

from pathlib import Path

import torch
import torch_sim as ts
from torch_sim.models.mace import MaceModel

MODEL = Path(__file__).with_name("model.pt")
DTYPE = "float64"
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def model(device: str = "auto") -> MaceModel:
    """Return the model; ``auto`` takes a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network = torch.load(MODEL, map_location=device, weights_only=False)
    return MaceModel(network, device=torch.device(device), dtype=getattr(torch, DTYPE))


def evaluate(frames: list, device: str = "auto") -> list:
    """Return energy in eV, forces in eV/Å and stress in eV/Å^3 of structures, in batches."""
    potential, found = model(device), {}
    # A batch of torch-sim is periodic along the same directions throughout.
    for pbc in {tuple(atoms.pbc) for atoms in frames}:
        places = [place for place, atoms in enumerate(frames) if tuple(atoms.pbc) == pbc]
        batch = [frames[place] for place in places]
        result = potential(ts.io.atoms_to_state(batch, potential.device, potential.dtype))
        forces = torch.split(result["forces"].cpu(), [len(atoms) for atoms in batch])
        results = zip(places, result["energy"], forces, result["stress"], strict=True)
        for place, energy, own, stress in results:
            found[place] = {
                "energy": float(energy),
                "forces": own.numpy(),
                "stress": stress.cpu().numpy()[VOIGT],
            }
    return [found[place] for place in range(len(frames))]
