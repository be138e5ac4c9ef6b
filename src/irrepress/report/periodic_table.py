"""Places of the elements in the periodic table."""

COLUMNS = 18
# The lanthanides and actinides stand below the others, under a gap.
ROWS = 10

_NOBLE_GASES = (2, 10, 18, 36, 54, 86, 118)
_FIRST_OF_F_ROWS = {57: 8, 89: 9}


def place(number: int) -> tuple[int, int]:
    """Return row and column of an element, both from 0.

    >>> place(1), place(2), place(6), place(26), place(57), place(72), place(118)
    ((0, 0), (0, 17), (1, 13), (3, 7), (8, 2), (5, 3), (6, 17))
    """
    for first, row in _FIRST_OF_F_ROWS.items():
        if first <= number < first + 15:
            return row, 2 + number - first
    period = next(i for i, last in enumerate(_NOBLE_GASES) if number <= last)
    before = _NOBLE_GASES[period - 1] if period else 0
    from_left, from_right = number - before - 1, _NOBLE_GASES[period] - number
    # s elements are counted from the left, all others from the noble gas.
    return period, from_left if from_left < 2 and from_right > 0 else COLUMNS - 1 - from_right
