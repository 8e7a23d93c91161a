"""Where a training starts from."""
