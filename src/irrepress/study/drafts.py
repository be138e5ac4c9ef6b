"""Configs that are written for a user's own files: commented, complete, and theirs to edit."""

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from irrepress.catalogue.families import check_keyword, family_of_keyword, is_path
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path, read_json
from irrepress.families.generic.file_kinds import check_kind
from irrepress.study.cards import CARD, Card, card_path, is_card
from irrepress.study.conditions import Conditions
from irrepress.study.config import Config
from irrepress.study.examination import DYNAMICS_ATOMS, Examination, Finding
from irrepress.study.paths import BESIDE_MODELS, BESIDE_STUDIES
from irrepress.study.plan_target import Target
from irrepress.study.reading import parse_config
from irrepress.study.recipes import recipes
from irrepress.study.workflow_files import workflow_folder

# Names in the config: files with labels; files with structures, and what is made of them.
DATASET = "mine"
CELL, SAMPLED, STRAINED, ALL = "cell", "sampled", "strained", "all"
CLOSE, WITH_CLOSE = "close", "with_close"
# Structures that a proof measures at most, and for each at two temperatures the minutes of the
# small and of the large model.
_MOST_PROVEN, _MINUTES, _PARENT_MINUTES = 3, 5, 8
# Atoms of a batch, if no structure is larger: eight small structures or one of 64 atoms.
_MAX_ATOMS = 96


@dataclass(frozen=True)
class Draft:
    """A config for a user's own files.

    Attributes:
        name: name of the study.
        model: the model to compress.
        examination: the files with the structures, and what they hold.
        target: what the model is to become.
        device: where jobs compute.
        run: the command that runs the study, for its first lines.
        conditions: of molecular dynamics of the model from the structures, if it labels them; None:
            the files have labels of their own.
        labels: files with labels besides, if the model labels the structures.

    Example:
        >>> from irrepress.data.summary.scan import summarize
        >>> examination = Examination(config.datasets["silicon"], summarize(store), [], 64)
        >>> draft = Draft("fast", config.models["m"], examination, Target.of({"speedup": 5}))
        >>> "name: fast" in draft.text()
        True
    """

    name: str
    model: ModelRef
    examination: Examination
    target: Target
    device: str = "auto"
    run: str = "snakemake --cores all --configfile config.yaml"
    conditions: Conditions | None = None
    labels: Examination | None = None

    def text(self) -> str:
        """Return the config as commented YAML.

        Raises:
            UserError: if the config is invalid.
        """
        sweep = self.target.with_depth(self.model.family).sweep()
        explicit = None if self.target.shape is None else _flow(self.target.shape)
        by_budget = {"explicit": None, "budget": sweep.budgets and sweep.budgets[0]}
        content = {
            "schema": workflow_folder() / "config" / "schema.json",
            "findings": self.findings,
            "run": self.run,
            "name": self.name,
            "device": self.device,
            "dataset": DATASET,
            "labelled": _labelled(self.labelled),
            "model": self.model_name,
            "family": self.model.family,
            "checkpoint": self.model.checkpoint,
            "modal": self.model.modal,
            "licence": self.model.licence,
            "target": by_budget
            | {
                "unit": sweep.unit,
                "runtime": sweep.runtime if sweep.runtime != "native" else None,
                "explicit": explicit,
                "layers": sweep.layers if sweep.layers != [None] else None,
            },
            "plan": next(iter(recipes(sweep))),
            "validation": self._validation(),
        }
        if self.conditions is None:
            content |= {"max_atoms": max(_MAX_ATOMS, self.examination.largest)}
            return _rendered("own_system.yaml", content)
        content |= self._sampling(self.conditions) | {"refined": self.target.is_fast}
        return _rendered("no_labels.yaml", content)

    @property
    def examinations(self) -> list[Examination]:
        """What all files hold."""
        return [self.examination, *([self.labels] if self.labels else [])]

    @property
    def labelled(self) -> Examination | None:
        """The files whose labels are trained on, if there are any."""
        return self.examination if self.conditions is None else self.labels

    @property
    def findings(self) -> list[Finding]:
        """What is worth knowing about the files."""
        return [
            *self.examination.findings,
            *(self.conditions.findings() if self.conditions else []),
            *(self.labels.findings if self.labels else []),
        ]

    def _validation(self) -> dict[str, Any]:
        """Return what the config says of the proof: of the model that the study ends at."""
        temperatures = (self.conditions or Conditions.of()).temperatures
        measured = self.labelled or self.examination
        structures = min(measured.summary.compositions, _MOST_PROVEN)
        runs = structures * max(1.0, len(temperatures) / 2)
        return {
            "dataset": DATASET if self.labelled else CELL,
            "structures": structures,
            "temperatures": [_plain_number(each) for each in temperatures],
            "minutes": _plain_number(_MINUTES * runs),
            "parent_minutes": _plain_number(_PARENT_MINUTES * runs),
        }

    def _sampling(self, conditions: Conditions) -> dict[str, Any]:
        """Return what the config says of dynamics and of what comes of them."""
        structures = self.examination
        atoms = [structures.largest_supercell, self.labels.largest if self.labels else 0]
        usual = [SAMPLED, STRAINED] if structures.are_periodic else [SAMPLED]
        everything = ALL if len(usual) > 1 else SAMPLED
        return {
            "cell": CELL,
            "sampled": SAMPLED,
            "strained": STRAINED,
            "close": CLOSE,
            "usual": usual,
            "all": everything,
            "taught": WITH_CLOSE if conditions.close_pairs else everything,
            "pairs": conditions.close(len(structures.summary.elements)),
            "paths": structures.files.paths,
            "temperatures": [_plain_number(each) for each in conditions.temperatures],
            "sampled_temperatures": [_plain_number(each) for each in conditions.sampled],
            "pressure": "null" if conditions.pressure is None else f"{conditions.pressure:g}",
            "runs": conditions.runs(structures.summary.structures),
            "frames": conditions.frames(structures.summary.structures),
            "atoms": DYNAMICS_ATOMS,
            "labels": _flow(self.model),
            "max_atoms": max(_MAX_ATOMS, *atoms),
        }

    @property
    def model_name(self) -> str:
        """What the config calls the model: its keyword, or the name of its file."""
        checkpoint = self.model.checkpoint
        name = plain_name(Path(checkpoint).stem if is_path(checkpoint) else checkpoint)
        return f"{name}-model" if name.casefold() in BESIDE_MODELS else name

    def config(self) -> Config:
        """Return the config as a study reads it."""
        return parse_config(yaml.safe_load(self.text()))

    def write(self, path: Path) -> None:
        """Write the config to a new file."""
        text = self.text()
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def plain_name(text: str) -> str:
    """Return a name of a study or a model that is like a text.

    >>> plain_name("my study (2)")
    'my-study-2'
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:80]
    return f"{name}-study" if name.casefold() in BESIDE_STUDIES else name or "study"


def find_model(
    model: str,
    family: str | None = None,
    *,
    modal: str | None = None,
    licence: str | None = None,
) -> ModelRef:
    """Tell which model a path or a keyword stands for.

    Neither torch nor the packages of a family are needed.

    Args:
        model: path of a file, or a keyword of a family.
        family: name of its family; None: that of the card beside it, or the one that knows it.
        modal: level of theory of a multi-modal model.
        licence: licence of a published checkpoint that the user accepts, by name.

    Raises:
        UserError: if there is no such file or keyword, a licence was not accepted, or the family of
            a file is unknown.
    """
    if is_path(model):
        path = Path(model).resolve()
        if not path.exists():
            raise UserError(f"{model}: there is no such file")
        check_kind(path)
        own = card_path(path)
        card = own if own.is_file() else path.with_name(CARD)
        if family is None and card.is_file() and is_card(read_json(card)):
            known = Card.load(card)
            family, modal = known.family, modal or known.modal
        if family is None:
            family = _family_of_file(path)
        return ModelRef(family=family, checkpoint=str(path), modal=modal, licence=licence)
    family = family or family_of_keyword(model)
    check_keyword(family, model, licence)
    return ModelRef(family=family, checkpoint=model, modal=modal, licence=licence)


def _family_of_file(path: Path) -> str:
    from irrepress.families.generic.checkpoints import family_of_types  # imports torch
    from irrepress.study.loading import load_model

    def ignore(warning: str) -> None:
        """There is no card to warn of."""

    return family_of_types(path) or load_model(str(path), warn=ignore).model.family.name


def _flow(section: Any) -> str:
    """Return what a section of a config names, as YAML in one line; empty if it names nothing."""
    named = section.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(named, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.strip() if named else ""


def _labelled(examination: Examination | None) -> dict[str, Any] | None:
    """Return what the config says of files with labels."""
    if examination is None:
        return None
    files = examination.files
    return {
        "paths": files.paths,
        "label_keys": _flow(files.keys),
        "units": _flow(files.units),
        "by": files.split.by,
    }


def _plain_number(number: float) -> float:
    return int(number) if number == int(number) else number


def _rendered(template: str, content: Mapping[str, Any]) -> str:
    """Return a config that a template becomes, if it is valid."""
    environment = Environment(
        loader=PackageLoader("irrepress.study"),
        undefined=StrictUndefined,
        autoescape=False,  # YAML, not HTML
    )
    environment.filters["value"] = lambda text: json.dumps(text, ensure_ascii=False)
    environment.filters["comment"] = _commented
    text = environment.get_template(template).render(content) + "\n"
    parse_config(yaml.safe_load(text), "the config that was written")
    return text


def _commented(finding: object) -> str:
    """Return a finding as lines of a comment."""
    return textwrap.fill(
        str(finding),
        width=100,
        initial_indent="# - ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
