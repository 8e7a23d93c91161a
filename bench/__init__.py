"""Benchmarks of learned image codecs: real bitstreams, BD-rate with its uncertainty, checked claims."""

__version__ = "0.1.0"
