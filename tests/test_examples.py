"""The worked examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import bench.curves
import bench.metrics
import bench.results

MODULES = [module.name for package in (bench.metrics, bench.curves, bench.results)
           for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if not module.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
