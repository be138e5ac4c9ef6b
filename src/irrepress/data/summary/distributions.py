"""Histograms and quantiles, of values in memory and of streams of values."""

import numpy as np

from irrepress.data.summary.records import Distribution

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS = 60
# Values further out than this many times the central range are counted beside the bins: a few
# extreme values would otherwise squeeze all others into one bin.
_REACH = 1.0
_CENTRAL = (0.05, 0.95)


def distribution_of(values: np.ndarray, whole: bool = False) -> Distribution | None:
    """Return the distribution of values in bins of equal width; quantiles are exact.

    Args:
        values: any shape; values that are not finite are ignored.
        whole: values are whole numbers: bins are centred on them.

    Returns:
        None if no value is finite.
    """
    values = np.asarray(values)
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return None
    edges = _edges(values, whole)
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    return Distribution(
        count=values.size,
        minimum=values.min(),
        maximum=values.max(),
        quantiles=dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES), strict=True)),
        edges=edges.tolist(),
        counts=np.histogram(inside, edges)[0].tolist(),
        below=int((values < edges[0]).sum()),
        above=int((values > edges[-1]).sum()),
    )


class LogHistogram:
    """The distribution of a stream of positive values, in fixed logarithmic bins.

    There are 100 bins a decade, so that a quantile is right within 3 % however many values
    there are. Between 1e-6 and 1e4 every value has a bin; zeros are counted below them.

    Example:
        >>> histogram = LogHistogram()
        >>> histogram.add(np.array([0.1, 1.0, 10.0]))
        >>> histogram.distribution().count
        3
    """

    _FIRST, _LAST = -6, 4  # powers of ten
    _FINE = 100  # bins a decade
    _COARSE = 10  # bins a decade of what is drawn

    def __init__(self) -> None:
        self._counts = np.zeros((self._LAST - self._FIRST) * self._FINE + 2, dtype=np.int64)
        self._minimum, self._maximum = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """Count values, none of them negative; values that are not finite are ignored."""
        values = values[np.isfinite(values)]
        if not values.size:
            return
        with np.errstate(divide="ignore"):
            places = np.floor((np.log10(values) - self._FIRST) * self._FINE) + 1
        places = np.clip(places, 0, len(self._counts) - 1).astype(np.int64)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._minimum = min(self._minimum, float(values.min()))
        self._maximum = max(self._maximum, float(values.max()))

    def distribution(self) -> Distribution | None:
        """Return what was counted, in ten bins a decade; None if there was nothing."""
        if not (total := int(self._counts.sum())):
            return None
        below, *_, above = self._counts.tolist()
        coarse = self._counts[1:-1].reshape(-1, self._FINE // self._COARSE).sum(axis=1)
        filled = np.flatnonzero(coarse)
        kept = slice(filled[0], filled[-1] + 1) if filled.size else slice(0, 0)
        powers = self._FIRST + np.arange(len(coarse) + 1) / self._COARSE
        return Distribution(
            count=total,
            minimum=self._minimum,
            maximum=self._maximum,
            quantiles={str(share): self._quantile(share) for share in QUANTILES},
            edges=(10.0 ** powers[kept.start : kept.stop + 1]).tolist(),
            counts=coarse[kept].tolist(),
            below=below,
            above=above,
        )

    def _quantile(self, share: float) -> float:
        ends = np.cumsum(self._counts)
        rank = share * ends[-1]
        place = int(np.searchsorted(ends, rank))
        if place == 0:
            return self._minimum
        inside = (rank - ends[place - 1]) / self._counts[place]
        value = 10 ** (self._FIRST + (place - 1 + inside) / self._FINE)
        return float(np.clip(value, self._minimum, self._maximum))


def _edges(values: np.ndarray, whole: bool) -> np.ndarray:
    """Return edges of bins over all values except those far outside the central range."""
    low, high = np.quantile(values, _CENTRAL)
    reach = _REACH * (high - low)
    low, high = max(values.min(), low - reach), min(values.max(), high + reach)
    if whole:
        width = max(1.0, np.ceil((high - low + 1) / _BINS))
        bins = int(np.ceil((np.floor(high) - np.ceil(low) + 1) / width))
        return np.ceil(low) - 0.5 + width * np.arange(bins + 1)
    if high - low < 1e-9 * max(abs(low), abs(high), 1.0):  # all the same but for round-off
        margin = max(abs(low), 1.0) * 1e-3
        return np.array([low - margin, high + margin])
    return np.linspace(low, high, _BINS + 1)
