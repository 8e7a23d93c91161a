"""Training of the variants."""
