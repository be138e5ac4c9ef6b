"""The least that a config holds."""

MINIMAL = {
    "name": "study",
    "datasets": {
        "foundation": {
            "source": "generated",
            "systems": ["crystals"],
            "labels": {"family": "sevennet", "checkpoint": "7net-l3i5"},
        },
        "own": {"source": "files", "paths": ["own.extxyz"]},
    },
    "models": {"sevennet-0": {"family": "sevennet", "checkpoint": "7net-0"}},
    "scoring": {"dataset": "foundation"},
    "evaluation": {"dataset": "foundation"},
}
