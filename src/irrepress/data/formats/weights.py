"""Weights of frames and labels in files: labels with zero weight are dropped."""

import numpy as np

from irrepress.core.errors import UserError
from irrepress.data.formats.frame import Frame, LeftOut
from irrepress.data.formats.keys import Roles, weights_of

# Text in notes on labels that are dropped.
WEIGHTLESS = " of weight zero"


def weigh_frame(frame: Frame, roles: Roles) -> None:
    """Note weights of an entire frame that are not used.

    Raises:
        LeftOut: if a weight is zero.
    """
    for key, values in weights_of(frame.fields, roles.whole_weights):
        if not values.any():
            raise LeftOut(f"{key} is zero")
        if values.size not in (1, len(frame.numbers)):
            raise UserError(
                f"{frame.where}: {key} has {values.size} values, neither one nor one per atom; "
                "give energy, forces and stress separate weights, such as energy_weight=0"
            )
        _note_uneven(frame, key, values)
    for key, values in weights_of(frame.fields, roles.other_weights):
        if not values.any():
            frame.notes.append(f"{key} of zero not used, as it is not a label's weight")


def is_weightless(frame: Frame, roles: Roles, name: str, label_key: str) -> bool:
    """Return whether a label has zero weight, and note it.

    If some atoms have zero weight, the entire label is dropped, so that these atoms do not count.
    """
    keys = roles.weights[name]
    if name == "stress":
        # Stress and virial have separate weights, and one of them may be a placeholder.
        other = "stress" if "virial" in label_key.lower() else "virial"
        keys = tuple(k for k in keys if other not in k.lower() or other in label_key.lower())
    for key, values in weights_of(frame.fields, keys):
        if not values.all():
            some = " on some atoms" if values.any() else ""
            frame.notes.append(f"{name}{WEIGHTLESS}{some} ({key}) taken as absent")
            return True
        _note_uneven(frame, key, values)
    if name != "forces":
        return False
    for key, values in weights_of(frame.fields, roles.whole_weights):
        if not values.all():
            frame.notes.append(f"forces{WEIGHTLESS} on some atoms ({key}) taken as absent")
            return True
    return False


def only_virial_counts(frame: Frame, roles: Roles) -> bool:
    """Return whether the stress has zero weight and there is a virial with nonzero weight."""
    if roles.virial is None or frame.fields[roles.virial] is None:
        return False
    zero = {
        word: any(
            not values.all()
            for key, values in weights_of(frame.fields, roles.weights["stress"])
            if word in key.lower()
        )
        for word in ("stress", "virial")
    }
    return zero["stress"] and not zero["virial"]


def _note_uneven(frame: Frame, key: str, values: np.ndarray) -> None:
    if np.any((values != 0) & (values != 1)):
        frame.notes.append(f"weights other than zero and one ({key}) not used")
