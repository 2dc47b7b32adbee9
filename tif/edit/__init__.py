"""Correcting spans by hand in a browser: `tif spans edit`."""
