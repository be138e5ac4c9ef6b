"""Division of a dataset into train, valid and test parts that share no siblings.

Each structure is identified by a 64-bit key, so that a split of millions of structures needs
a few megabytes. The same keys and fractions always give the same split.
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
    """Fewer sets of siblings than parts."""


@dataclass
class OfficialParts:
    """Official parts of a dataset, filled while its structures are read.

    Attributes:
        rest: where structures in no official part go: shared out among the parts that have no
            official one (``share``), to ``test``, or to no part (``none``).
        indices: part -> indices of its structures, as far as the source was read.

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
        """Record the part of a structure; None: it is in no part."""
        if part is not None:
            self.indices[part].append(index)


def sibling_key(
    structure: Structure,
    index: int,
    by: Literal["group", "composition", "structure"],
    seed: int,
) -> int:
    """Return the pseudo-random 64-bit key that siblings share.

    Args:
        structure: the structure.
        index: its place in the dataset; it is the key's source where nothing is shared.
        by: the property that siblings share. With ``group``, a structure without one stands alone.
        seed: another seed gives other, independent keys.
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
    """Divide structures into parts near the fractions asked for, siblings together.

    Sets of siblings are dealt out in the order of their keys (very large ones first), each
    to the part that lacks most, so that even few sets of siblings come close to the fractions.

    Args:
        keys: the `sibling_key` of every structure, ``[structures]`` uint64.
        split: the fractions. A part of fraction 0 stays empty, every other one gets at
            least one set of siblings.
        official: parts that the source gives; they keep their structures. A part that it does
            not give is made from the other structures or, if there are none, taken from the
            official train part, in the proportion of the fractions.
        counts: largest sizes of the parts. Parts that are larger lose structures at random;
            the proportion of parts that are dealt out follows the counts.
        seed: seed for the choice of structures that are left out for the counts.

    Returns:
        Sorted int64 indices of ``train``, ``valid`` and ``test``.

    Raises:
        TooFewToSplit: there are fewer sets of siblings than parts.
        UserError: the official parts leave nothing to train on.
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
        # The parts that are still missing are taken from the official train part.
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
    """Return given splits as sorted int64 indices per part; absent parts are empty.

    Raises:
        ValueError: an unknown part, an index beyond ``count``, or one in two parts.
    """
    if unknown := set(splits) - set(PARTS):
        raise ValueError(f"unknown parts {sorted(unknown)}; the parts are {PARTS}")
    checked = {p: np.sort(np.asarray(splits.get(p, []), dtype=np.int64)) for p in PARTS}
    joined = np.concatenate(list(checked.values()))
    if len(np.unique(joined)) != len(joined):
        raise ValueError("a structure lies in two parts of the split")
    if len(joined) and not 0 <= joined.min() <= joined.max() < count:
        raise ValueError(f"the splits index beyond the {count} structures")
    return checked


def _official_indices(official: OfficialParts | None) -> dict[str, np.ndarray]:
    """Return the official parts that have structures."""
    if official is None:
        return {}
    arrays = {part: np.array(found, dtype=np.int64) for part, found in official.indices.items()}
    return {part: np.unique(found) for part, found in arrays.items() if len(found)}


def _check_rest(wanted: list[str], given: Mapping[str, np.ndarray], free: int) -> None:
    """Check that no structure is left without a part, and that train has structures."""
    if free and not wanted:
        raise UserError(
            f"split: {free} structures are in no official part ({', '.join(given)}), and the "
            "fractions of the other parts are 0; give fractions, or list every file under "
            "test_paths or valid_paths"
        )
    if not free and "train" in wanted:
        raise UserError(
            f"split: all structures are in {' and '.join(f'{part}_paths' for part in given)}, so "
            "nothing is left for train; list files under paths too, or set the fractions of the "
            "other parts to 0"
        )


def _warn_of_siblings(
    keys: np.ndarray, parts: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]
) -> None:
    for part in set(given) - {"train"}:
        others = np.concatenate([parts[other] for other in PARTS if other != part])
        if shared := int(np.isin(keys[others], keys[parts[part]]).sum()):
            logger.warning(
                "%d structures outside the official %s part have siblings in it; errors on it "
                "will look better than they are",
                shared,
                part,
            )


def _at_most(indices: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return ``count`` of the indices, chosen at random; all of them if there are no more."""
    if count is None or len(indices) <= count:
        return indices
    return np.sort(np.random.default_rng(seed).choice(indices, count, replace=False))


def _targets(count: int, wanted: Iterable[str], split: Split, counts: Counts) -> dict[str, float]:
    """Return how many of ``count`` structures each part should get."""
    given = {part: getattr(counts, part) for part in wanted}
    fractions = {part: getattr(split, part) for part, limit in given.items() if limit is None}
    rest = max(count - sum(limit for limit in given.values() if limit), 0)
    total = sum(fractions.values())
    return {part: limit or rest * fractions[part] / total for part, limit in given.items()}


def _deal(
    keys: np.ndarray, wanted: list[str], split: Split, counts: Counts
) -> dict[str, np.ndarray]:
    """Deal sets of siblings out to the parts; return positions into ``keys``."""
    if not wanted:
        return {}
    unique, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(unique) < len(wanted):
        mend = (
            "add structures, or set the fraction of a part to 0"
            if split.by == "structure"
            else "set split.by: structure, add structures, or set the fraction of a part to 0"
        )
        raise TooFewToSplit(
            f"split: {len(keys)} structures form {len(unique)} set(s) of siblings (split.by: "
            f"{split.by}), too few for the parts {', '.join(wanted)}; {mend}"
        )
    missing = _targets(len(keys), wanted, split, counts)
    # A set as large as a part can only be placed well while the parts are still empty.
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
