"""What a user asks of ``irrepress compress`` and ``irrepress new``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from irrepress.catalogue.model_ref import ModelRef
from irrepress.cli.options import pairs
from irrepress.core.errors import UserError
from irrepress.core.section import check_device_name
from irrepress.data.config import Files
from irrepress.study.conditions import Conditions
from irrepress.study.drafts import Draft, find_model, plain_name
from irrepress.study.examination import Examination, check_alike, check_labelled, examine
from irrepress.study.plan_target import Target


@dataclass(frozen=True)
class Asked:
    """What a user asks for, before any file is read.

    Attributes:
        model: the model to compress.
        structures: the files with structures, which may have labels.
        target: what the model is to become.
        conditions: what is said of temperature, pressure and close pairs, by default if nothing is.
        labels: files with labels besides; None: there are none.
        device: where jobs compute.
    """

    model: ModelRef
    structures: Files
    target: Target
    conditions: Conditions
    labels: Files | None
    device: str

    @classmethod
    def of(
        cls,
        model: str,
        structures: Sequence[str],
        target: Target,
        *,
        temperatures: Sequence[float] | None,
        pressure: float | None,
        close_pairs: bool,
        labels: Sequence[str] | None,
        keys: list[str] | None,
        units: list[str] | None,
        device: str,
        **model_options: str | None,
    ) -> "Asked":
        """Check options, and return what they ask for.

        Raises:
            UserError: if one of them makes no sense.
        """
        check_device_name(device)
        if labels:
            labelled = _files(labels, keys, units)
            cells = _files(structures, None, None).model_copy(update={"labels": False})
        else:
            labelled, cells = None, _files(structures, keys, units)
        return cls(
            find_model(model, **model_options),
            cells,
            target,
            Conditions.of(temperatures, pressure, close_pairs),
            labelled,
            device,
        )

    def record(self) -> dict[str, Any]:
        """Return what a study is begun with, to know it again."""
        files = self.labels or self.structures
        conditions = self.conditions
        return {
            "model": self.model.checkpoint,
            "modal": self.model.modal,
            "frames": self.structures.paths,
            "labels": self.labels and self.labels.paths,
            "keys": files.keys.model_dump(exclude_defaults=True),
            "units": files.units.model_dump(exclude_defaults=True),
            "temperature": None if conditions.by_default else list(conditions.temperatures),
            "pressure": conditions.pressure,
            **({"close_pairs": True} if conditions.close_pairs else {}),
            **(dict([self.target.asked]) if self.target.asked else {}),
            **({"runtime": self.target.runtime} if self.target.runtime != "native" else {}),
            **(self.target.shape.model_dump(exclude_defaults=True) if self.target.shape else {}),
            "device": self.device,
        }

    def draft(self, folder: Path, command: str) -> Draft:
        """Look into the files, and return the config of a study of them.

        Raises:
            UserError: if they are not what they have to be.
        """
        examination = examine(self.structures)
        labels = self._labels()
        if labels is not None:
            check_alike(labels, examination)
        if examination.files.labels is None:
            check_labelled(examination)
            self._check_no_conditions(examination)
            conditions = None
        else:
            conditions = self.conditions
        return Draft(
            plain_name(folder.resolve().name),
            self.model,
            examination,
            self.target,
            self.device,
            command,
            conditions,
            labels,
        )

    def _labels(self) -> Examination | None:
        if self.labels is None:
            return None
        found = examine(self.labels)
        check_labelled(found)
        return found

    def _check_no_conditions(self, examination: Examination) -> None:
        """Check that no dynamics are asked for where labels are there to be trained on."""
        asked = {
            "--temperature": not self.conditions.by_default,
            "--pressure": self.conditions.pressure is not None,
            "--close-pairs": self.conditions.close_pairs,
        }
        said = next((option for option, given in asked.items() if given), None)
        if said is None:
            return
        (first, *_) = examination.files.paths
        raise UserError(
            f"{first}: has labels, which the small model is trained on, so that {said} has no use; "
            f"leave it out, or add --labels {Path(first).name}: then the large model labels "
            "dynamics from the structures, and the small one is fine-tuned on the labels"
        )


def _files(paths: Sequence[str], keys: list[str] | None, units: list[str] | None) -> Files:
    """Return files as a config names them, by absolute paths."""
    content: dict[str, Any] = {
        "source": "files",
        "paths": [os.path.abspath(Path(path).expanduser()) for path in paths],
        "keys": dict(pairs("--keys", keys)),
        "units": dict(pairs("--units", units)),
        "split": {"train": 0.8, "valid": 0.1, "test": 0.1},
    }
    try:
        return Files.model_validate(content)
    except ValidationError as error:
        (mistake, *_) = error.errors()
        place = ".".join(map(str, mistake["loc"]))
        reason = str(mistake.get("ctx", {}).get("error", mistake["msg"]))
        raise UserError(f"{place}: {reason}") from None
