"""Cost: time, memory and operations, all subjects in turns."""

ROUNDS = 6  # samples: fewer have no interval
