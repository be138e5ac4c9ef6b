"""Published datasets and checkpoints: names, addresses, checksums and licences.

It needs neither torch nor the network.
"""
