"""The command ``irrepress``: look at models and datasets, evaluate, check configurations.

Commands import what they need when they run, because torch and the packages of families take
seconds to import.
"""

from irrepress.cli.application import app, main

__all__ = ["app", "main"]
