"""Division of a dataset into train, valid and test splits without related structures in common.

Related structures (siblings) share a 64-bit key, so splitting millions of structures needs a few
megabytes. The same keys and fractions always give the same splits.
"""

import hashlib
import logging
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.config import Counts, Split

logger = logging.getLogger(__name__)

PARTS = ("train", "valid", "test")


class TooFewToSplit(UserError):
    """Raised if there are fewer sets of siblings than splits.

    Example:
        >>> raise TooFewToSplit("split: 1 structures form 1 set(s) of siblings")
        Traceback (most recent call last):
            ...
        irrepress.data.splits.TooFewToSplit: split: 1 structures form 1 set(s) of siblings
    """


@dataclass
class OfficialParts:
    """Official splits of a dataset, filled while its structures are read.

    Attributes:
        rest: where structures outside the official splits go: distributed over the other splits
            (``share``), to ``test``, or to none (``none``).
        indices: split -> indices of its structures read so far.

    Example:
        >>> official = OfficialParts(rest="none")
        >>> official.add(0, "train")
        >>> official.add(1, "test")
        >>> {part: list(indices) for part, indices in official.indices.items()}
        {'train': [0], 'valid': [], 'test': [1]}
    """

    rest: Literal["share", "test", "none"] = "share"
    indices: dict[str, array] = field(default_factory=lambda: {part: array("q") for part in PARTS})

    def add(self, index: int, part: str | None) -> None:
        """Record the split of a structure; None: it is in none."""
        if part is not None:
            self.indices[part].append(index)


def sibling_key(
    structure: Structure,
    index: int,
    by: Literal["group", "composition", "structure"],
    seed: int,
) -> int:
    """Return a pseudo-random 64-bit key that siblings share.

    Args:
        structure: the structure.
        index: its index in the dataset, which determines the key if nothing is shared.
        by: the property that siblings share. With ``group``, a structure without a group has no
            siblings.
        seed: seed for the keys.
    """
    if by == "composition":
        label = f"composition {reduced_composition(structure.numbers)}"
    elif by == "group" and structure.group:
        label = f"group {structure.group}"
    else:
        label = f"structure {index}"
    digest = hashlib.blake2b(f"{seed} {label}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def reduced_composition(numbers: Sequence[int] | np.ndarray) -> str:
    """Return element counts divided by their greatest common divisor, such as ``8:2 14:1``."""
    counts = Counter(int(number) for number in numbers)
    divisor = math.gcd(*counts.values())
    return " ".join(f"{number}:{counts[number] // divisor}" for number in sorted(counts))


def split_indices(
    keys: np.ndarray,
    split: Split,
    official: OfficialParts | None = None,
    counts: Counts | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Divide structures into splits close to the requested fractions, keeping siblings together.

    Sets of siblings are assigned in the order of their keys (very large ones first), each to the
    split that lacks most, so that even a few sets approximate the fractions.

    Args:
        keys: the `sibling_key` of every structure, ``[structures]`` uint64.
        split: the fractions. A split with fraction 0 stays empty; every other one gets at least one
            set of siblings.
        official: splits defined by the source, which keep their structures. Other splits are made
            from the remaining structures or, if there are none, from the official train split, in
            the ratio of the fractions.
        counts: maximum sizes of the splits. Larger splits are subsampled at random; the ratios of
            new splits follow the counts.
        seed: seed for subsampling.

    Returns:
        Sorted int64 indices of ``train``, ``valid`` and ``test``, ``[structures]`` each.

    Raises:
        TooFewToSplit: if there are fewer sets of siblings than splits.
        UserError: if the official splits leave nothing to train on.
    """
    counts = counts or Counts()
    given = _official_indices(official)
    parts = {part: given.get(part, np.empty(0, dtype=np.int64)) for part in PARTS}
    free = np.setdiff1d(np.arange(len(keys), dtype=np.int64), np.concatenate([*parts.values()]))
    if given and official is not None and official.rest != "share":
        if official.rest == "test":
            parts["test"] = np.union1d(parts["test"], free)
        free = free[:0]
    wanted = [part for part in PARTS if part not in given and getattr(split, part) > 0]
    if given:
        _check_rest(wanted, given, len(free))
    if given and not len(free):
        # Missing splits are taken from the official train split.
        wanted = [part for part in wanted if not len(parts[part])]
        if wanted:
            free, wanted = parts["train"], ["train", *wanted]
    if len(free):
        for part, members in _deal(keys[free], wanted, split, counts).items():
            parts[part] = free[members]
    if given:
        _warn_of_siblings(keys, parts, given)
    return {part: _at_most(parts[part], getattr(counts, part), seed) for part in PARTS}


def check_splits(
    splits: Mapping[str, Sequence[int] | np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Return given splits as sorted int64 indices; missing splits are empty.

    Raises:
        ValueError: if a split is unknown, or an index is out of range or in two splits.
    """
    if unknown := set(splits) - set(PARTS):
        raise ValueError(f"unknown splits {sorted(unknown)}; the splits are {PARTS}")
    checked = {p: np.sort(np.asarray(splits.get(p, []), dtype=np.int64)) for p in PARTS}
    joined = np.concatenate(list(checked.values()))
    if len(np.unique(joined)) != len(joined):
        raise ValueError("a structure is in two splits")
    if len(joined) and not 0 <= joined.min() <= joined.max() < count:
        raise ValueError(f"an index exceeds the {count} structures")
    return checked


def _official_indices(official: OfficialParts | None) -> dict[str, np.ndarray]:
    """Return the official splits that have structures."""
    if official is None:
        return {}
    arrays = {part: np.array(found, dtype=np.int64) for part, found in official.indices.items()}
    return {part: np.unique(found) for part, found in arrays.items() if len(found)}


def _check_rest(wanted: list[str], given: Mapping[str, np.ndarray], free: int) -> None:
    """Check that every structure has a split, and that train has structures."""
    if free and not wanted:
        raise UserError(
            f"split: {free} structures are in no official split ({', '.join(given)}), and the "
            "fractions of the other splits are 0; give fractions, or list every file under "
            "test_paths or valid_paths"
        )
    if not free and "train" in wanted:
        raise UserError(
            f"split: all structures are in {' and '.join(f'{part}_paths' for part in given)}, so "
            "nothing is left for train; also list files under paths, or set the fractions of the "
            "other splits to 0"
        )


def _warn_of_siblings(
    keys: np.ndarray, parts: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]
) -> None:
    for part in set(given) - {"train"}:
        others = np.concatenate([parts[other] for other in PARTS if other != part])
        if shared := int(np.isin(keys[others], keys[parts[part]]).sum()):
            logger.warning(
                "%d structures outside the official %s split have siblings in it; its errors will "
                "be too optimistic",
                shared,
                part,
            )


def _at_most(indices: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return at most ``count`` of the indices, chosen at random."""
    if count is None or len(indices) <= count:
        return indices
    return np.sort(np.random.default_rng(seed).choice(indices, count, replace=False))


def _targets(count: int, wanted: Iterable[str], split: Split, counts: Counts) -> dict[str, float]:
    """Return how many of ``count`` structures each split should get."""
    given = {part: getattr(counts, part) for part in wanted}
    fractions = {part: getattr(split, part) for part, limit in given.items() if limit is None}
    rest = max(count - sum(limit for limit in given.values() if limit), 0)
    total = sum(fractions.values())
    return {part: limit or rest * fractions[part] / total for part, limit in given.items()}


def _deal(
    keys: np.ndarray, wanted: list[str], split: Split, counts: Counts
) -> dict[str, np.ndarray]:
    """Assign sets of siblings to splits; return positions in ``keys``."""
    if not wanted:
        return {}
    unique, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(unique) < len(wanted):
        mend = (
            "add structures, or set the fraction of a split to 0"
            if split.by == "structure"
            else "set split.by: structure, add structures, or set the fraction of a split to 0"
        )
        raise TooFewToSplit(
            f"split: {len(keys)} structures form {len(unique)} set(s) of siblings (split.by: "
            f"{split.by}), too few for the splits {', '.join(wanted)}; {mend}"
        )
    missing = _targets(len(keys), wanted, split, counts)
    # A set as large as a split can only be placed well while the splits are empty.
    large = np.where(sizes > min(missing.values()) / 2, sizes, 0)
    order = np.lexsort((unique, -large))

    names = list(missing)
    empty = set(names)
    part_of_set = np.empty(len(unique), dtype=np.int64)
    for left, chosen in zip(range(len(order), 0, -1), order, strict=True):
        candidates = empty if left <= len(empty) else names
        part = max((p for p in names if p in candidates), key=missing.__getitem__)
        missing[part] -= float(sizes[chosen])
        empty.discard(part)
        part_of_set[chosen] = names.index(part)
    part_of_structure = part_of_set[inverse]
    return {part: np.flatnonzero(part_of_structure == i) for i, part in enumerate(names)}
