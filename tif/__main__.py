"""`python -m tif`."""

from tif import interrupt

# The command line takes a moment to import.
interrupt.begin()

from tif.cli import script  # noqa: E402

script()
