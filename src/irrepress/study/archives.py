"""Archives: a model with everything that belongs to it, in one reproducible file."""

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
    "refined": ["paper"],
}


# Values that depend on the run and not on the model, which archives omit.
_OF_THE_RUN = ("created", "seconds")
# Costs that are counted and thus equal in every run; all others describe timings.
_COUNTED = (
    *("parameters", "flops_per_atom", "file_bytes", "packed_bytes"),
    *("kept_blocks", "total_blocks"),
)


def write_archive(path: str | Path, files: dict[str, str | Path], card: str | Path) -> None:
    """Write a ``.tar.gz`` with a model, its card, its licence and a description of its methods.

    Equal models give equal archives: names are sorted, and owners, file times and everything that
    differs between runs (dates, durations of training and measured times) are omitted; the latter
    remain in the study's own ``card.json`` and ``metrics.json``.

    Args:
        path: path of the archive; its only folder has the same name without suffixes.
        files: name in the archive -> file; ``model.pt`` is the model of the card.
        card: path of the model's card.

    Raises:
        UserError: if the card belongs to another model or lacks a key, or a file cannot be read or
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
    """Remove dates and durations, at any depth."""
    if isinstance(content, dict):
        return {k: _without_times(v) for k, v in content.items() if k not in _OF_THE_RUN}
    if isinstance(content, list):
        return [_without_times(item) for item in content]
    return content


def _counted(metrics: Any, source: str | Path) -> dict[str, Any]:
    """Remove timings from metrics."""
    if not (isinstance(metrics, dict) and isinstance(metrics.get("cost", {}), dict)):
        raise UserError(f"{source}: not a metrics file; delete the file and run the workflow again")
    cost = {k: v for k, v in metrics.get("cost", {}).items() if k in _COUNTED}
    return _without_times(metrics) | ({"cost": cost} if cost else {})


def licence_text(card: Card) -> str:
    """Return a text on the licence of the weights, which is that of their checkpoint."""
    return (
        f"The weights of this model were derived from the checkpoint {card.checkpoint} of the "
        f"family {card.family}\n(SHA-256 {card.parent_sha256}).\n\nLicence of that checkpoint, as "
        f"recorded when the model was made: {card.licence or 'none'}\n\nModels derived from a "
        "checkpoint are under its licence. The data that the model was trained\non, listed in "
        "METHODS.md, have their own licences.\n"
    )


def methods_text(card: Card) -> str:
    """Return a text for the methods section of a paper, followed by all settings."""
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
    """Describe one stage; unknown stages are described by their name."""
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
            "refined": "trained on the original, in rounds with frames of its own dynamics,",
            "finetuned": "fine-tuned",
            "scratch": "trained from scratch",
        }.get(name, f"treated ({name})")
        optimizer = {"soap": "SOAP"}.get(settings.get("optimizer", "adamw"), "AdamW")
        sentence = (
            f"It was {verb} with the dataset {stage['dataset']} (labels: {stage['labels']}) for "
            f"{stage['steps']} steps of up to {settings['batch_size']} structures at a peak "
            f"learning rate of {settings['learning_rate']:g} ({optimizer}, "
            f"seed {stage['seed']})."
        )
        if stage.get("kept") == "start":
            sentence += (
                " This did not improve on the initial weights, which were kept: the training was "
                "rejected."
            )
        return sentence
    if "bits" in stage:
        return f"Path and radial weights were rounded to {stage['bits']} bits."
    return f"Further stage: {name}."
