"""The report of searches for hyper-parameters."""
