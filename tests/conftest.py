"""Leaves out what takes hours, in a checkout and in an installed package alike; the fixture `faults`."""

from faults import faults

__all__ = ["faults"]


def pytest_configure(config):
    config.addinivalue_line("markers", "long: hours of stepping; run them with: pytest -m long")


def pytest_collection_modifyitems(config, items):
    if config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]
