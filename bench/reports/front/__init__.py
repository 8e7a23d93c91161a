"""The front page of all reports, the machine-readable answer beside it, and the terminal's table of it."""
