"""Settings for the whole test run."""

from hypothesis import settings

# Machines that run tests are slow now and then: an example may take its time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
