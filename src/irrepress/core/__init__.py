"""The ground floor: what everything speaks of. It imports nothing from the rest of irrepress."""
