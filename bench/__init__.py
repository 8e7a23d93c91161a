"""Benchmarks of learned image codecs: real bitstreams, BD-rate, reports."""

__version__ = "0.1.0"
