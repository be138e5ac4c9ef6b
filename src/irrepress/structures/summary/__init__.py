"""What a dataset holds: counts, distributions and suspicious structures, in one pass."""

from irrepress.structures.summary.records import DatasetSummary
from irrepress.structures.summary.scan import summarize

__all__ = ["DatasetSummary", "summarize"]
