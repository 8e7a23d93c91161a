"""Searches for hyper-parameters."""
