"""Configs that are written for a user's own files: commented, complete, and theirs to edit."""

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from irrepress.catalogue.families import check_keyword, family_of_keyword, is_path
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path, read_json
from irrepress.core.target import Explicit
from irrepress.families.generic.file_kinds import check_kind
from irrepress.pruning.config import Sweep
from irrepress.study.cards import CARD, Card, card_path, is_card
from irrepress.study.config import Config
from irrepress.study.examination import Examination
from irrepress.study.paths import BESIDE_MODELS, BESIDE_STUDIES
from irrepress.study.reading import parse_config
from irrepress.study.recipes import recipes
from irrepress.study.workflow_files import workflow_folder

# The name of the user's files in the config.
DATASET = "mine"
# Atoms of a batch, if no structure is larger: eight small structures or one of 64 atoms.
_MAX_ATOMS = 96


@dataclass(frozen=True)
class Target:
    """What a model is to become: one of the three.

    Attributes:
        speedup: how many times faster it is to be, as measured on the machine.
        parameters: the fraction of its parameters that may stay.
        shape: the irreps that are to stay.

    Example:
        >>> Target(speedup=5).sweep().budgets
        [0.2]
    """

    speedup: float | None = None
    parameters: float | None = None
    shape: Explicit | None = None

    def __post_init__(self) -> None:
        given = [self.speedup, self.parameters, self.shape]
        if sum(each is not None for each in given) != 1:
            raise UserError("give one of --speedup, --parameters and --irreps")
        if self.speedup is not None and not 1 < self.speedup <= 1000:
            raise UserError(f"--speedup {self.speedup:g}: give a number above 1, such as 5")
        if self.parameters is not None and not 0 < self.parameters < 1:
            raise UserError(
                f"--parameters {self.parameters:g}: give the fraction that may stay, such as 0.3"
            )

    def sweep(self) -> Sweep:
        """Return the section of the config that asks for it."""
        if self.shape is not None:
            return Sweep(criteria=["fisher"], budgets=[], explicit={"shape": self.shape})
        if self.speedup is not None:
            budget = round(1 / self.speedup, 4)
            return Sweep(criteria=["fisher"], budgets=[budget], unit="time", axes=["both"])
        return Sweep(
            criteria=["fisher"], budgets=[self.parameters], unit="parameters", axes=["both"]
        )


@dataclass(frozen=True)
class Draft:
    """A config for a user's own files.

    Attributes:
        name: name of the study.
        model: the model to compress.
        examination: the files and what they hold.
        target: what the model is to become.
        device: where jobs compute.
        run: the command that runs the study, for its first lines.

    Example:
        >>> from irrepress.data.summary.scan import summarize
        >>> examination = Examination(config.datasets["silicon"], summarize(store), findings=[])
        >>> draft = Draft("fast", config.models["m"], examination, Target(speedup=5))
        >>> "name: fast" in draft.text()
        True
    """

    name: str
    model: ModelRef
    examination: Examination
    target: Target
    device: str = "auto"
    run: str = "snakemake --cores all --configfile config.yaml"

    def text(self) -> str:
        """Return the config as commented YAML.

        Raises:
            UserError: if the config is invalid.
        """
        files = self.examination.files
        sweep = self.target.sweep()
        explicit = None if self.target.shape is None else _flow(self.target.shape)
        by_budget = {"explicit": None, "budget": sweep.budgets and sweep.budgets[0]}
        text = _template().render(
            schema=workflow_folder() / "config" / "schema.json",
            findings=self.examination.findings,
            run=self.run,
            name=self.name,
            device=self.device,
            dataset=DATASET,
            paths=files.paths,
            keys=_flow(files.keys),
            units=_flow(files.units),
            by=files.split.by,
            model=self.model_name,
            family=self.model.family,
            checkpoint=self.model.checkpoint,
            modal=self.model.modal,
            licence=self.model.licence,
            target=by_budget | {"unit": sweep.unit, "explicit": explicit},
            plan=next(iter(recipes(sweep))),
            max_atoms=max(_MAX_ATOMS, self.examination.largest),
        )
        parse_config(yaml.safe_load(text), "the config that was written")
        return text

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


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("irrepress.study"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # YAML, not HTML
    )
    environment.filters["value"] = lambda text: json.dumps(text, ensure_ascii=False)
    environment.filters["comment"] = _commented
    return environment.get_template("own_system.yaml")


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
