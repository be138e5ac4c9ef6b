"""Division of a dataset into train, valid and test parts that share no siblings.

Structures are told apart by a 64-bit key each, so that a split of millions of structures
needs a few megabytes. The same keys and fractions always give the same split.
"""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from irrepress.config import Split
from irrepress.errors import UserError
from irrepress.structures.structure import Structure

logger = logging.getLogger(__name__)

PARTS = ("train", "valid", "test")


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
        by: what siblings share. With ``group``, a structure without a group stands alone.
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
    keys: np.ndarray, split: Split, test_indices: Sequence[int] | np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Divide structures into parts near the fractions asked for, siblings together.

    Sets of siblings are dealt out in the order of their keys (very large ones first), each
    to the part that misses most; so few sets of siblings come near the fractions too.

    Args:
        keys: the `sibling_key` of every structure, ``[structures]`` uint64.
        split: the fractions. A part of fraction 0 stays empty, every other one gets at
            least one set of siblings.
        test_indices: structures that are the test part as a whole, whatever the fraction of
            ``split.test``; the others are divided in the proportion of train to valid.

    Returns:
        Sorted int64 indices of ``train``, ``valid`` and ``test``.

    Raises:
        UserError: there are fewer sets of siblings than parts, or an official test part
            leaves nothing to train on.
    """
    fractions = {part: getattr(split, part) for part in PARTS}
    official = np.unique(np.asarray([] if test_indices is None else test_indices, dtype=np.int64))
    free = np.setdiff1d(np.arange(len(keys), dtype=np.int64), official)
    if len(official):
        fractions["test"] = 0.0
        fractions = _renormalised(fractions, len(free))
        _warn_of_siblings(keys[free], keys[official])
    parts = _deal(keys[free], {p: f for p, f in fractions.items() if f > 0}, split)
    indices = {part: free[parts.get(part, [])] for part in PARTS}
    if len(official):
        indices["test"] = official
    return indices


def check_splits(splits: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
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


def _renormalised(fractions: dict[str, float], free: int) -> dict[str, float]:
    """Scale train and valid to a sum of 1, after the test part was taken away."""
    rest = fractions["train"] + fractions["valid"]
    if rest == 0 and free:
        raise UserError(
            f"split: train and valid are 0, but {free} structures are not in test_paths; "
            "give train and valid fractions, or list every file under test_paths"
        )
    if rest and not free:
        raise UserError(
            "split: all structures are in test_paths, so nothing is left for train and valid; "
            "list files under paths too, or set train: 0, valid: 0, test: 1"
        )
    return {part: value / rest if rest else 0.0 for part, value in fractions.items()}


def _warn_of_siblings(keys: np.ndarray, official: np.ndarray) -> None:
    shared = int(np.isin(keys, official).sum())
    if shared:
        logger.warning(
            "%d structures outside the official test files have siblings in them; "
            "errors on the test part will look better than they are",
            shared,
        )


def _deal(keys: np.ndarray, fractions: dict[str, float], split: Split) -> dict[str, np.ndarray]:
    """Deal sets of siblings out to the parts; return positions into ``keys``."""
    if not fractions:
        return {}
    unique, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(unique) < len(fractions):
        mend = (
            "add structures, or set the fraction of a part to 0"
            if split.by == "structure"
            else "set split.by: structure, add structures, or set the fraction of a part to 0"
        )
        raise UserError(
            f"split: {len(keys)} structures form {len(unique)} set(s) of siblings (split.by: "
            f"{split.by}), too few for the parts {', '.join(fractions)}; {mend}"
        )
    missing = {part: fraction * len(keys) for part, fraction in fractions.items()}
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
