"""The family eSCN-MD: the backbone of UMA and eSEN, of fairchem-core 2."""
