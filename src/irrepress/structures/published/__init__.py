"""The registry of published datasets: sources, checksums, licences, units; pure data."""
