"""One experiment for TOFU, LUME and MUSE: every method tuned by `tif tune` with one budget, then measured."""
