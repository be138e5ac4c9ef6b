"""SevenNet (sevenn 0.13): NequIP-like message passing with linear self-connections."""
