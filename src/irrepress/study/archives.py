"""A model to hand on: one file with all that belongs to it, the same to the last bit every time."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path, read_json
from irrepress.study.cards import Card, mismatch
from irrepress.study.citations import REFERENCES

METRICS = "metrics.json"
_CITED = {
    "pruned": ["paper", "taylor"],
    "recovered": ["paper"],
    "distilled": ["paper"],
}


# What a run measures anew each time, which is no property of the model: left out of archives.
_OF_THE_RUN = ("created", "seconds")
# Costs that are counted, and so the same in every run; all others are times and where they were
# taken.
_COUNTED = (
    *("parameters", "flops_per_atom", "file_bytes", "packed_bytes"),
    *("kept_blocks", "total_blocks"),
)


def write_archive(path: str | Path, files: dict[str, str | Path], card: str | Path) -> None:
    """Write a ``.tar.gz`` with a model, its card, its licence and how it was made.

    Runs of equal models give equal archives: names are sorted, owners and times of files are left
    out, and so is what differs from run to run in the records: dates, durations of trainings and
    measured speeds, which stay in the study's own ``card.json`` and ``metrics.json``.

    Args:
        path: the archive; its name without suffixes is that of its only folder.
        files: name in the archive -> file; ``model.pt`` is the model of the card.
        card: path of the model's card.

    Raises:
        UserError: the card is of another model or lacks a key, or a file cannot be read or
            written.
    """
    content = Card.model_validate(_without_times(Card.load(card).content()))
    if (mistake := mismatch(files["model.pt"], content, card)) is not None:
        raise UserError(mistake)
    try:
        texts = {"LICENCE.txt": licence_text(content), "METHODS.md": methods_text(content)}
    except KeyError as error:
        raise UserError(
            f"{card}: the key {error.args[0]!r} of a stage or of the versions is missing; delete "
            "the file and run the workflow again"
        ) from None
    texts["card.json"] = _json(content.content())
    members = {name: _read(Path(file)) for name, file in files.items() if name != METRICS}
    if METRICS in files:
        texts[METRICS] = _json(_counted(read_json(files[METRICS]), files[METRICS]))
    members |= {name: text.encode() for name, text in texts.items()}
    folder = Path(path).name.removesuffix(".tar.gz")
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(members):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(members[name]), 0o644
            archive.addfile(entry, io.BytesIO(members[name]))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _without_times(content: Any) -> Any:
    """Leave out dates and durations, at any depth."""
    if isinstance(content, dict):
        return {k: _without_times(v) for k, v in content.items() if k not in _OF_THE_RUN}
    if isinstance(content, list):
        return [_without_times(item) for item in content]
    return content


def _counted(metrics: Any, source: str | Path) -> dict[str, Any]:
    """Leave out of metrics what was timed."""
    if not (isinstance(metrics, dict) and isinstance(metrics.get("cost", {}), dict)):
        raise UserError(f"{source}: no metrics; delete the file and run the workflow again")
    cost = {k: v for k, v in metrics.get("cost", {}).items() if k in _COUNTED}
    return _without_times(metrics) | ({"cost": cost} if cost else {})


def licence_text(card: Card) -> str:
    """Say under what licence the weights are: that of the checkpoint they come from."""
    return (
        f"The weights of this model were derived from the checkpoint {card.checkpoint} of the "
        f"family {card.family}\n(SHA-256 {card.parent_sha256}).\n\n"
        f"Licence of that checkpoint, as recorded when the model was made: "
        f"{card.licence or 'none'}\n\n"
        "What is derived from a checkpoint is under its licence. Data that the model was trained\n"
        "on, which METHODS.md names, have licences of their own.\n"
    )


def methods_text(card: Card) -> str:
    """Return a text for the methods section of a paper, and all settings below it."""
    modal = f" ({card.modal})" if card.modal else ""
    sentences = [
        f"The model was derived from the checkpoint {card.checkpoint}{modal} of the family "
        f"{card.family} with irrepress {card.versions['irrepress']}.",
        *map(_sentence, card.stages),
        f"It has {card.parameters:,} parameters.",
    ]
    names = [stage["stage"] for stage in card.stages]
    cited = {"paper"} | {key for name in names for key in _CITED.get(name, [])}
    works = [f"- {work.text} {work.url}" for work in REFERENCES if work.key in cited]
    return "\n".join(
        [
            f"# {card.name}\n",
            " ".join(sentences),
            "\n## References\n",
            *works,
            "\n## Settings of every stage\n",
            "```json",
            json.dumps(card.stages, indent=2, ensure_ascii=False),
            "```",
            "\n## Versions\n",
            *(f"- {package} {version}" for package, version in sorted(card.versions.items())),
            "",
        ]
    )


def _sentence(stage: dict[str, Any]) -> str:
    """Tell one stage; stages of the future are told by their names."""
    name = stage["stage"]
    if name == "pruned":
        made = stage["provenance"]
        how = f"{made['budget']} of its {made['unit']}" if made.get("budget") else "target irreps"
        if stage.get("edited"):
            origin = f"by the criterion {made['criterion']}, {how}" if made else "by hand"
            return (
                f"Whole irreps blocks were removed by the plan {stage['plan']}, made {origin}, "
                f"then edited by hand: {'; '.join(stage['edited'])}."
            )
        return (
            f"Whole irreps blocks were removed by the criterion {made['criterion']} "
            f"(plan {stage['plan']}: {how})."
        )
    if name == "compensated":
        return (
            f"Its kept weights were fitted in closed form to the features of the original on "
            f"{stage['structures']} structures of the dataset {stage['dataset']}."
        )
    if "settings" in stage:
        settings = stage["settings"]
        verb = {
            "recovered": "trained",
            "distilled": "trained on the original",
            "finetuned": "fine-tuned",
            "scratch": "trained from scratch",
        }.get(name, f"treated ({name})")
        sentence = (
            f"It was {verb} with the dataset {stage['dataset']} (labels: {stage['labels']}) for "
            f"{stage['steps']} steps of up to {settings['batch_size']} structures at a peak "
            f"learning rate of {settings['learning_rate']:g} (AdamW, seed {stage['seed']})."
        )
        if stage.get("kept") == "start":
            sentence += (
                " This did not improve on the weights that it began with, which were kept: the "
                "training was rejected."
            )
        return sentence
    if "bits" in stage:
        return f"Path and radial weights were rounded to {stage['bits']} bits."
    return f"Further stage: {name}."
