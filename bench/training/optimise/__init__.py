"""How parameters move: optimiser, groups, guards, precision."""
