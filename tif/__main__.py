"""`python -m tif`."""

from tif.cli import script

script()
