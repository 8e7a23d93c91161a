"""Cost: time, memory and operations, all subjects in turns."""
