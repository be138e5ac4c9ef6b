"""What to remove: blocks, scores, budgets and plans. Knows no family, only the protocol."""
