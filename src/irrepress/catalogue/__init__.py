"""Published datasets and checkpoints: names, addresses, checksums and licences.

This package needs neither torch nor network access.
"""
