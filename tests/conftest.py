"""Settings for the whole test run."""

import os

import pytest
from hypothesis import settings

# Machines that run tests are slow now and then: an example may take its time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Where two workers share two cores, a thread that waits for another sleeps, and keeps no core busy. Sums are split
# between threads as before. OpenMP reads it when torch is imported; the processes that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# `make test` hands its own flags on, under which a make that a test starts says which folder it enters and leaves.
for flags in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(flags, None)


def pytest_collection_modifyitems(items):
    """The long files first: at the end, one of them would be left for one worker alone."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With REQUIRE_SERVERS=1 in the environment, a test that needs servers fails where it would be skipped."""
    report = yield
    is_needed = os.environ.get("REQUIRE_SERVERS") == "1" and item.get_closest_marker("server") is not None
    if is_needed and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_SERVERS=1, and {call.excinfo.value}"
    return report
