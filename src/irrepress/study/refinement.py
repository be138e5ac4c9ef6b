"""Refinement by active learning: a compressed model learns from where its own dynamics lead it.

Each round runs the model, has its parent label the frames, and trains on those where the forces
are farthest from the parent's; the last sound frames of runs that broke are always among them. All
frames of a round are new to the model, so their errors say what its dynamics are worth, and whether
the last training helped (active learning on the fly: Li, Kermode and De Vita, Phys. Rev. Lett. 114,
096405, 2015; by committees: Zhang et al., Phys. Rev. Materials 3, 023804, 2019; here the parent can
be asked at any time).
"""

import csv
import logging
import time
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from irrepress.core.devices import resolve_device
from irrepress.core.files import atomic_path, read_json, write_json
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.data.sources.join import Joining
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.study.exploration import Found, Frame, explore
from irrepress.training.config import OF_THE_MACHINE, Refinement
from irrepress.training.features import FeatureGuide
from irrepress.training.module import COLUMNS
from irrepress.training.trainer import train

logger = logging.getLogger(__name__)

# A training that lowers the error on new dynamics by less than this fraction ends refinement.
_PROGRESS = 0.03


@dataclass(frozen=True)
class Round:
    """A round: what the dynamics of its model show, and what was then added.

    Attributes:
        number: from 0; the model of round 0 is the one that refinement begins with.
        found: the errors on its dynamics.
        added: number of frames that join the train split.
        held_out: number of frames that join the valid split.
        seconds: time of dynamics and labels.

    Example:
        >>> found = Found(8, 2, [], 0.001, 0.02, 0.04, {"300": 0.04}, 0)
        >>> Round(0, found, added=6, held_out=2, seconds=60.0).record()["departure"]
        0.04
    """

    number: int
    found: Found
    added: int
    held_out: int
    seconds: float

    def record(self) -> dict[str, Any]:
        """Return plain data, for records and cards."""
        own = {key: value for key, value in asdict(self).items() if key != "found"}
        return {**own, **self.found.record()}

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Round":
        """Return the round of a record."""
        own = {key: record[key] for key in ("number", "added", "held_out", "seconds")}
        return cls(found=Found(**{k: v for k, v in record.items() if k not in own}), **own)


@dataclass(frozen=True)
class RefinementResult:
    """The result of a refinement.

    Attributes:
        model: the model of the best round, on the CPU.
        rounds: the rounds, in order.
        best: number of the round whose model is kept; 0 for the one that refinement began with.
        ended: why no further round was made.
        seconds: time of all rounds and trainings.
        steps: optimizer steps that the kept model has seen.
        best_valid_loss: of the training that the kept model is from; None if it was not trained.

    Example:
        >>> found = Found(8, 2, [], 0.001, 0.02, 0.004, {"300": 0.004}, 0)
        >>> rounds = [Round(0, found, added=0, held_out=0, seconds=60.0)]
        >>> result = RefinementResult(model, rounds, 0, "no frame departs", 60.0, 0, None)
        >>> result.stage(Refinement(of="cell", temperatures=[300]), seed=0)["kept"]
        'start'
    """

    model: Model
    rounds: list[Round]
    best: int
    ended: str
    seconds: float
    steps: int
    best_valid_loss: float | None

    def stage(self, settings: Refinement, seed: int) -> dict[str, Any]:
        """Return the record of the stage for the card, without dataset and labels.

        Args:
            settings: the settings.
            seed: the seed.
        """
        return {
            "stage": "refined",
            "settings": settings.model_dump(mode="json", exclude={"dataset", *OF_THE_MACHINE}),
            "rounds": [each.record() for each in self.rounds],
            "kept_round": self.best,
            "ended": self.ended,
            "steps": self.steps,
            "best_valid_loss": self.best_valid_loss,
            "kept": "best" if self.best else "start",
            "seconds": self.seconds,
            "seed": seed,
        }


def refine(
    model: Model,
    parent: Model,
    base: StructureStore,
    starts: StructureStore,
    settings: Refinement,
    *,
    seed: int,
    device: str,
    work_dir: Path,
    metrics_csv: Path,
    frames: Path,
    guide: FeatureGuide | None = None,
) -> RefinementResult:
    """Refine a compressed model in rounds of dynamics and training.

    A killed run goes on where it was if this function is called again with the same arguments:
    frames of finished rounds are kept, and trainings resume.

    Args:
        model: the compressed model; it is not changed.
        parent: the model that labels.
        base: what the model was trained on, labelled by the parent.
        starts: structures that dynamics start from.
        settings: the settings.
        seed: seed for everything random.
        device: name of the device, as in the config.
        work_dir: folder for frames and checkpoints; the caller removes it after success.
        metrics_csv: file to write with the training curves of all rounds, one after another.
        frames: store to write with the frames of all rounds: those added in their splits, those
            of the last round, which the model was not trained on, in the test split.
        guide: see `irrepress.training.trainer.train`.

    Raises:
        UserError: as `irrepress.training.trainer.train`.
    """
    job = _Job(model, parent, base, starts, settings, seed, device, Path(work_dir), guide)
    result = job.run()
    job.write_curve(Path(metrics_csv), result)
    job.write_frames(Path(frames), result)
    return result


@dataclass
class _Job:
    """A refinement in its work folder, which has a folder for each round."""

    start: Model
    parent: Model
    base: StructureStore
    starts: StructureStore
    settings: Refinement
    seed: int
    device: str
    work_dir: Path
    guide: FeatureGuide | None

    def run(self) -> RefinementResult:
        settings, target = self.settings, resolve_device(self.device)
        self.parent.to(target).eval()
        model = deepcopy(self.start).to(target).eval()
        rounds: list[Round] = []
        trained: list[dict[str, float]] = []
        while True:
            rounds.append(self._explored(len(rounds), model))
            logger.info("round %d of %d: %s", len(rounds) - 1, settings.rounds, _told(rounds[-1]))
            ended = reason_to_end(rounds, trained, settings)
            if ended is not None:
                break
            trained.append(self._train(len(rounds) - 1, rounds, model))
            model = self._model(len(rounds), target)
        best = min(range(len(rounds)), key=lambda i: (rounds[i].found.rank, i))
        logger.info("refinement ends: %s; the model of round %d is kept", ended, best)
        return RefinementResult(
            model=self._model(best, torch.device("cpu")),
            rounds=rounds,
            best=best,
            ended=ended,
            seconds=_seconds(rounds, trained),
            steps=int(sum(each["steps"] for each in trained[:best])),
            best_valid_loss=trained[best - 1]["best_valid_loss"] if best else None,
        )

    def write_curve(self, path: Path, result: RefinementResult) -> None:
        """Write the curves of the trainings one after another: steps, passes and times add up."""
        rows: list[dict[str, Any]] = []
        before = dict.fromkeys(("step", "epoch", "seconds"), 0.0)
        for number in range(len(result.rounds) - 1):
            with (self._folder(number) / "training.csv").open(encoding="utf-8") as stream:
                own = list(csv.DictReader(stream))
            for row in own:
                moved = {key: float(row[key]) + start for key, start in before.items()}
                rows.append(row | moved | {"step": int(moved["step"])})
            before = {key: float(rows[-1][key]) for key in before}
        if not rows:  # nothing was trained
            rows = [dict.fromkeys(COLUMNS, "nan") | {"step": 0, "epoch": 0.0, "seconds": 0.0}]
        with atomic_path(path) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def write_frames(self, path: Path, result: RefinementResult) -> None:
        """Write the frames of all rounds."""
        numbers = [each.number for each in result.rounds if each.found.frames]
        stores = [StructureStore(self._frames(number)) for number in numbers]
        splits: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
        first = 0
        for number, store in zip(numbers, stores, strict=True):
            if number == result.rounds[-1].number:
                splits["test"] += list(range(first, first + len(store)))
            else:
                for part in ("train", "valid"):
                    splits[part] += [first + int(index) for index in store.splits[part]]
            first += len(store)
        structures: Iterable[Structure] = chain.from_iterable(store.iterate() for store in stores)
        if not stores:  # every run broke at once
            structures, splits = [self.starts[0].without_labels()], {}
        write_store(path, structures, self._info(), splits, self.seed)

    def _info(self) -> Any:
        return replace(self.base.info, source="dynamics of the compressed model", notes=())

    def _folder(self, number: int) -> Path:
        return self.work_dir / f"round-{number}"

    def _frames(self, number: int) -> Path:
        return self._folder(number) / "frames.h5"

    def _model(self, number: int, device: torch.device) -> Model:
        """Return the model of a round."""
        model = deepcopy(self.start)
        if number:
            path = self._folder(number - 1) / "weights.pt"
            model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return model.to(device).eval()

    def _explored(self, number: int, model: Model) -> Round:
        """Return what the dynamics of a round show; of a finished one, as it was."""
        record = self._folder(number) / "round.json"
        if record.exists():
            return Round.of(read_json(record))
        started = time.monotonic()
        found_frames, found = explore(
            model,
            self.parent,
            self.starts,
            self.settings,
            number=number,
            seed=self.seed,
        )
        train_part, valid = choose(found_frames, self.settings, number)
        if found_frames:
            write_store(
                self._frames(number),
                (frame.structure for frame in found_frames),
                self._info(),
                {"train": train_part, "valid": valid},
                self.seed,
            )
        made = Round(number, found, len(train_part), len(valid), time.monotonic() - started)
        write_json(record, made.record())
        return made

    def _train(self, number: int, rounds: Sequence[Round], model: Model) -> dict[str, float]:
        """Train on the base and the frames of all rounds; return steps, loss and time."""
        folder = self._folder(number)
        record = folder / "trained.json"
        if record.exists():
            return dict(read_json(record))
        path = folder / "train.h5"
        if not path.exists():
            stores = [self.base, *(StructureStore(self._frames(i)) for i in range(number + 1))]
            joining = Joining(stores, parts=("train", "valid"))
            write_store(path, joining, self.base.info, joining.splits, self.seed)
        store = StructureStore(path)
        logger.info(
            "round %d: training on %d structures, %d of them from dynamics",
            number,
            len(store.splits["train"]),
            sum(each.added for each in rounds),
        )
        result = train(
            deepcopy(model).to("cpu"),
            store,
            self.settings,
            seed=self.seed,
            device=self.device,
            work_dir=folder / "checkpoints",
            metrics_csv=folder / "training.csv",
            teacher=store,
            label_fraction=0.0,
            guide=self.guide,
            parent=self.parent if self.settings.has_targets else None,
        )
        self.parent.to(resolve_device(self.device))  # further targets move it
        with atomic_path(folder / "weights.pt") as temporary:
            torch.save(result.model.state_dict(), temporary)
        done = {
            "steps": float(result.steps),
            "best_valid_loss": result.best_valid_loss,
            "seconds": result.seconds,
        }
        write_json(record, done)
        return done


def reason_to_end(
    rounds: Sequence[Round], trained: Sequence[dict[str, float]], settings: Refinement
) -> str | None:
    """Return why refinement ends after the rounds made so far; None: it goes on.

    Args:
        rounds: the rounds, in order.
        trained: steps, loss and time of the training after each round but the last.
        settings: threshold, numbers and time limit.
    """
    last = rounds[-1]
    if not last.found.frames:
        return "every run broke before its first sound frame; lower the temperatures"
    if not last.added:
        return f"no frame departs by more than {100 * settings.threshold:.2g} %"
    if len(trained) == settings.rounds:
        return "the last round is done"
    if len(rounds) > 1:
        broke, departure = min(each.found.rank for each in rounds[:-1])
        if last.found.rank >= (broke, (1 - _PROGRESS) * departure):
            return "the error on new dynamics no longer falls"
    if settings.minutes is not None:
        spent = _seconds(rounds, trained)
        next_one = last.seconds + (trained[-1]["seconds"] if trained else 0.0)
        if spent + next_one > 60 * settings.minutes:
            return f"another round would take longer than {settings.minutes:g} minutes in all"
    return None


def choose(
    frames: Sequence[Frame], settings: Refinement, number: int
) -> tuple[list[int], list[int]]:
    """Return the frames that join the train split, and those that join the valid split.

    Chosen are the last sound frames of runs that broke, then those that depart most, as long as
    they depart by more than the threshold. Frames of held-out runs join the valid split; others
    are held out in every round.

    Args:
        frames: frames of a round.
        settings: threshold, numbers, and the fraction held out.
        number: number of the round.

    Returns:
        Ascending indices.
    """
    departing = [i for i, f in enumerate(frames) if f.last or f.departure > settings.threshold]
    departing.sort(key=lambda i: (not frames[i].last, -frames[i].departure, i))
    chosen = sorted(departing[: settings.frames])
    every = max(2, round(1 / settings.held_out))
    held = [i for i in chosen if (frames[i].run % settings.runs + number) % every == every - 1]
    return [i for i in chosen if i not in set(held)], held


def _told(done: Round) -> str:
    number = done.added + done.held_out
    return f"{done.found.told}; {number} of the frames that depart most are taken"


def _seconds(rounds: Sequence[Round], trained: Sequence[dict[str, float]]) -> float:
    times = [each.seconds for each in rounds] + [each["seconds"] for each in trained]
    return float(sum(times))
