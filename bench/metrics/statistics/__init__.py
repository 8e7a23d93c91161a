"""Intervals, tests, and what may be concluded from them."""
