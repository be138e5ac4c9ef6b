"""Plans: what to keep of a model (layers, cutoff, irreps blocks), as data that users can edit."""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from irrepress.core.errors import UserError, nearest
from irrepress.core.files import read_json, write_json
from irrepress.core.groups import Group, followers, widths_of

SCHEMA_VERSION = 1
_KEYS = ("schema_version", "provenance", "summary", "layers", "cutoff", "groups", "made")
_RANGE = re.compile(r"0*([0-9]+)(?: *- *0*([0-9]+))?", re.ASCII)
# Far more than any group has; the limit keeps damaged files from exhausting the memory.
_MOST_CHANNELS, _MOST_DIGITS = 1_000_000, 8


@dataclass(frozen=True)
class Plan:
    """The channels to keep in every group, the cutoff and the layers.

    Layers go first: groups and channels are those of the model that has only the layers to keep
    (`irrepress.core.model.Model.with_layers`), which are counted anew from 0.

    Attributes:
        keep: group name -> sorted indices of the channels to keep.
        channels: group name -> number of channels in the unpruned model, with the plan's layers.
        provenance: origin of the plan (criterion, budget, parent's sha256, ...).
        cutoff: cutoff radius in Å; None: that of the unpruned model.
        edits: a phrase for each change made to the file by hand since the plan was made.
        layers: the message-passing layers of the unpruned model to keep, in ascending order,
            counted from 0; None: all.

    Example:
        >>> from irrepress.core.groups import Group
        >>> groups = [Group("features.0.0e", 0, "0e", 4, "features.0.0e")]
        >>> plan = Plan(keep={"features.0.0e": (0, 2, 3)}, channels={"features.0.0e": 4})
        >>> plan.check(groups)
        >>> plan.widths(groups), plan.kept_blocks(), plan.total_blocks()
        ({'features.0.0e': 3}, 3, 4)
    """

    keep: Mapping[str, tuple[int, ...]]
    channels: Mapping[str, int]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cutoff: float | None = None
    edits: tuple[str, ...] = ()
    layers: tuple[int, ...] | None = None

    @classmethod
    def identity(cls, groups: Sequence[Group]) -> "Plan":
        """Return the plan that keeps everything."""
        return cls(
            keep={g.name: tuple(range(g.channels)) for g in groups},
            channels={g.name: g.channels for g in groups},
        )

    @classmethod
    def random(cls, groups: Sequence[Group], rng: np.random.Generator) -> "Plan":
        """Return a plan with random widths between floor and full width, and random channels.

        Orders of the filter and components (axes ``order`` and ``component``) are kept; `cut_order`
        removes them with everything of their order.
        """
        width = {
            key: int(rng.integers(max(g.floor for g in groups if g.width == key), full + 1))
            for key, full in widths_of(groups).items()
        }
        for base, keys in followers(groups).items():
            width.update(dict.fromkeys(keys, width[base]))
        keep = {}
        for g in groups:
            if g.axis == "channel":
                count = g.round_up(width[g.width])
            else:
                count = g.channels if g.axis in ("order", "component") else width[g.width]
            chosen = np.arange(g.channels) if g.in_order else rng.permutation(g.channels)
            keep[g.name] = tuple(sorted(chosen[:count].tolist()))
        return cls(keep=keep, channels={g.name: g.channels for g in groups})

    def cut_order(self, groups: Sequence[Group], above: int) -> "Plan":
        """Return the plan with every block of order l > ``above`` removed, filter included.

        In blocks that hold several irreps, higher orders are removed through groups with the axis
        ``order``. Blocks that the architecture requires are kept.
        """
        keep = {g.name: () if g.l > above and g.floor == 0 else self.keep[g.name] for g in groups}
        return replace(self, keep=keep)

    def then(self, following: "Plan") -> "Plan":
        """Return the plan equivalent to this plan followed by ``following``.

        Args:
            following: a plan for the model narrowed by this plan, without the groups of which this
                plan keeps nothing. If it has a cutoff, that is the shorter one.

        Raises:
            UserError: if ``following`` belongs to another model, or drops layers.
        """
        if following.layers is not None:
            raise UserError(
                f"plan: the following plan keeps the layers {_listed(following.layers)}; layers "
                "can only be dropped by the first plan"
            )
        for name, channels in following.channels.items():
            kept = len(self.keep.get(name, ()))
            if channels != kept:
                raise UserError(
                    f"plan: the following plan assumes {channels} channels in group {name!r}, but "
                    f"{kept} are kept; it belongs to another model"
                )
        keep = {
            name: tuple(kept[i] for i in following.keep.get(name, ()))
            for name, kept in self.keep.items()
        }
        return replace(self, keep=keep, cutoff=following.cutoff or self.cutoff)

    def widths(self, groups: Sequence[Group]) -> dict[str, int]:
        """Return the number of channels to keep for each width key.

        Raises:
            UserError: if tied groups keep different numbers of channels.
        """
        widths: dict[str, int] = {}
        for g in groups:
            count = len(self.keep[g.name])
            if widths.setdefault(g.width, count) != count:
                others = [h.name for h in groups if h.width == g.width]
                raise UserError(
                    f"plan: {' and '.join(others)} must keep the same number of channels, but "
                    f"{g.name} keeps {count} and another {widths[g.width]}; make them equal"
                )
        return widths

    def check(self, groups: Sequence[Group], source: str = "plan") -> None:
        """Check the plan against a model's groups.

        Args:
            groups: the groups of the model to apply the plan to, with the plan's layers
                (`irrepress.core.model.Model.with_layers`).
            source: name of the plan in messages, such as its path.

        Raises:
            UserError: if groups are unknown or missing, numbers of channels differ or cannot be
                built, tied groups differ, or orders of features, filter or products are not cut
                from the highest.
        """
        known = {g.name: g for g in groups}
        for name in self.keep:
            if name not in known:
                raise UserError(
                    f"{source}: the model has no group {name!r}; {nearest(name, known)}"
                )
        for name, g in known.items():
            if name not in self.keep:
                raise UserError(f"{source}: group {name!r} is missing; add the channels it keeps")
            if self.channels[name] != g.channels:
                raise UserError(
                    f"{source}: group {name!r} is planned for {self.channels[name]} channels, the "
                    f"model has {g.channels}; the plan belongs to another model"
                )
            kept = self.keep[name]
            if len(set(kept)) != len(kept) or any(not 0 <= i < g.channels for i in kept):
                raise UserError(
                    f"{source}: group {name!r} keeps channels outside 0-{g.channels - 1} or one "
                    "twice"
                )
            if len(kept) < g.floor:
                raise UserError(
                    f"{source}: group {name!r} keeps {len(kept)} channels, the architecture needs "
                    f"at least {g.floor}"
                )
            if len(kept) % g.multiple:
                raise UserError(
                    f"{source}: group {name!r} keeps {len(kept)} channels, the architecture needs "
                    f"a multiple of {g.multiple}"
                )
            if g.in_order and kept != tuple(range(len(kept))):
                raise UserError(
                    f"{source}: group {name!r} keeps {_format_ranges(kept)}, but its blocks can "
                    f"only be removed from the last; keep 0-{len(kept) - 1}"
                )
        for axis in ("order", "component"):
            orders = sorted((g.l, bool(self.keep[g.name])) for g in groups if g.axis == axis)
            for (low, low_kept), (high, high_kept) in pairwise(orders):
                if high_kept and not low_kept:
                    raise UserError(
                        f"{source}: {axis} {low} of all features or of the filter is cut, but "
                        f"{axis} {high} is kept; cut {axis}s from the top"
                    )
        widths = self.widths(groups)
        for g in groups:
            if g.follows and widths[g.width] not in (0, widths[g.follows]):
                raise UserError(
                    f"{source}: group {g.name!r} keeps {widths[g.width]} channels; the "
                    f"architecture needs the {widths[g.follows]} of {g.follows!r}, or none"
                )

    def kept_blocks(self) -> int:
        """Return the number of blocks to keep."""
        return sum(len(kept) for kept in self.keep.values())

    def total_blocks(self) -> int:
        """Return the number of blocks in the unpruned model."""
        return sum(self.channels.values())

    def save(self, path: str | Path, summary: Mapping[str, Any] | None = None) -> None:
        """Write the plan as JSON that users can read and edit.

        The plan is written twice: ``groups``, ``layers`` and ``cutoff`` are applied, while ``made``
        later shows what was changed by hand.

        Args:
            path: path of the file.
            summary: additional data for readers, which is not read back.
        """
        ranges = {name: _format_ranges(kept) for name, kept in self.keep.items()}
        content = {
            "schema_version": SCHEMA_VERSION,
            "provenance": dict(self.provenance),
            "summary": dict(summary or {}),
            **({} if self.layers is None else {"layers": list(self.layers)}),
            **({} if self.cutoff is None else {"cutoff": self.cutoff}),
            "groups": {
                name: {"channels": self.channels[name], "keep": ranges[name]} for name in self.keep
            },
            "made": {
                **({} if self.layers is None else {"layers": list(self.layers)}),
                "cutoff": self.cutoff,
                "keep": ranges,
            },
        }
        write_json(path, content)

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """Read a plan from JSON.

        Raises:
            UserError: if the file is not a plan or has another schema version, a key is missing,
                unknown or of the wrong type, or channels do not exist or are listed twice.
        """
        content = read_json(path)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if type(version) is not int or version != SCHEMA_VERSION:
            raise UserError(
                f"{path}: schema_version: is {version!r}, this version of irrepress reads "
                f"{SCHEMA_VERSION}; write the plan again"
            )
        _check_keys(content, _KEYS, str(path))
        groups = content.get("groups")
        if not isinstance(groups, dict) or not groups:
            raise UserError(
                f"{path}: 'groups' must hold the groups of the model by name, it is "
                f"{_short(groups)}; write the plan again"
            )
        keep, channels = {}, {}
        for name, entry in groups.items():
            channels[name], keep[name] = _parse_group(entry, f"{path}: group {name!r}")
        cutoff = content.get("cutoff")
        is_number = isinstance(cutoff, int | float) and not isinstance(cutoff, bool)
        if cutoff is not None and not (is_number and 0 < cutoff < math.inf):
            raise UserError(
                f"{path}: the cutoff must be a radius in Å, it is {_short(cutoff)}; correct it, or "
                "leave it out to keep the model's own"
            )
        provenance = content.get("provenance", {})
        if not isinstance(provenance, dict):
            raise UserError(
                f"{path}: 'provenance' must hold keys and values, it is {_short(provenance)}; "
                "correct it or leave it out"
            )
        layers = _parse_layers(content.get("layers"), str(path))
        plan = cls(keep, channels, provenance=provenance, cutoff=cutoff, layers=layers)
        return replace(plan, edits=_edits(content.get("made"), plan, str(path)))


def write_summary(path: str | Path, summary: Mapping[str, Any]) -> bool:
    """Update the summary in a plan's file if it is out of date, such as after an edit by hand.

    The modification time of the file is kept, so that results of the plan stay up to date.

    Args:
        path: path of the plan.
        summary: the result of `irrepress.pruning.budget.summarize` for the plan.

    Returns:
        Whether the summary was updated.
    """
    path = Path(path)
    content = read_json(path)
    found = content.get("summary")
    # Fractions of time are only known when the plan is made.
    keys = [key for key in summary if key != "fraction"]
    if isinstance(found, dict) and all(found.get(key) == summary[key] for key in keys):
        return False
    state = path.stat()
    write_json(path, content | {"summary": dict(summary)})
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return True


def _edits(made: Any, plan: Plan, source: str) -> tuple[str, ...]:
    """Return a phrase for each difference between a plan and the original one."""
    if made is None:
        return ("what stays was written by hand",)
    if not isinstance(made, dict) or not isinstance(made.get("keep"), dict):
        raise UserError(
            f"{source}: 'made' records which channels the plan kept when it was made; edit "
            "'groups' and restore 'made', or remove it"
        )
    edits = []
    layers = _parse_layers(made.get("layers"), f"{source}: 'made'")
    if plan.layers != layers:
        edits.append(f"layers {_listed(plan.layers)} instead of {_listed(layers)}")
    if plan.cutoff != made.get("cutoff"):
        edits.append(f"cutoff {_radius(plan.cutoff)} instead of {_radius(made.get('cutoff'))}")
    for name, kept in plan.keep.items():
        channels = plan.channels[name]
        if name not in made["keep"]:
            edits.append(f"{name} was added")
            continue
        before = _parse_group(
            {"channels": channels, "keep": made["keep"][name]},
            f"{source}: 'made', group {name!r}",
        )[1]
        if kept == before:
            continue
        if len(kept) == len(before):
            edits.append(f"{name} keeps other channels, {len(kept)} of {channels} as before")
        else:
            edits.append(f"{name} keeps {len(kept)} of {channels} instead of {len(before)}")
    edits += [f"{name} was left out" for name in made["keep"] if name not in plan.keep]
    return tuple(edits)


def _radius(cutoff: float | None) -> str:
    return "that of the unpruned model" if cutoff is None else f"{cutoff:g} Å"


def _listed(layers: Sequence[int] | None) -> str:
    return "all" if layers is None else ", ".join(map(str, layers))


def _parse_layers(layers: Any, source: str) -> tuple[int, ...] | None:
    """Return the layers to keep."""
    if layers is None:
        return None
    are_numbers = isinstance(layers, list) and all(type(i) is int and i >= 0 for i in layers)
    if not are_numbers or not layers or sorted(set(layers)) != layers:
        raise UserError(
            f"{source}: 'layers' must list the layers of the unpruned model to keep, from 0 and "
            f"in ascending order, such as [0, 2, 4]; it is {_short(layers)}; correct it, or leave "
            "it out to keep all"
        )
    return tuple(layers)


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}; {nearest(key, known)}")


def _parse_group(entry: Any, where: str) -> tuple[int, tuple[int, ...]]:
    """Return a group's number of channels and the indices of those to keep."""
    if not isinstance(entry, dict) or not {"channels", "keep"} <= entry.keys():
        raise UserError(
            f"{where}: needs the keys 'channels' and 'keep', such as "
            f'{{"channels": 64, "keep": "0-31"}}; it is {_short(entry)}'
        )
    _check_keys(entry, ("channels", "keep"), where)
    channels = entry["channels"]
    if type(channels) is not int or not 1 <= channels <= _MOST_CHANNELS:
        raise UserError(
            f"{where}: 'channels' must be the group's number of channels in the unpruned model, a "
            f"whole number from 1 to {_MOST_CHANNELS}; it is {_short(channels)}"
        )
    if not isinstance(entry["keep"], str):
        raise UserError(
            f"{where}: 'keep' must be text such as \"0-15, 20\"; it is {_short(entry['keep'])}"
        )
    return channels, _parse_ranges(entry["keep"], channels, where)


def _short(value: Any) -> str:
    """Format a value for a message, shortened if necessary."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _format_ranges(indices: Iterable[int]) -> str:
    """Format sorted indices as ``0-15, 20, 24-31``."""
    runs: list[list[int]] = []
    for i in indices:
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _parse_ranges(text: str, channels: int, where: str) -> tuple[int, ...]:
    """Parse the format of `_format_ranges`; ``channels`` is the group's number of channels."""
    kept = np.zeros(channels, dtype=bool)
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _RANGE.fullmatch(part)
        if not match:
            raise UserError(f"{where}: {_short(part)} is not a channel or a range such as 8-15")
        # Longer numbers exceed any group, and Python refuses to parse the longest.
        first, last = (int(digits[:_MOST_DIGITS]) for digits in (match[1], match[2] or match[1]))
        if last >= channels or first >= channels:
            raise UserError(
                f"{where}: {_short(part)} is outside 0-{channels - 1}, the channels that the group "
                "has; correct 'keep'"
            )
        if last < first:
            raise UserError(f"{where}: the range {_short(part)} runs backwards; swap its ends")
        if kept[first : last + 1].any():
            raise UserError(f"{where}: channels of {_short(part)} are listed twice; list each once")
        kept[first : last + 1] = True
    return tuple(np.flatnonzero(kept).tolist())
