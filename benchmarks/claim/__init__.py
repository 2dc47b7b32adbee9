"""The experiment behind the claim in docs/method.md: every method tuned by `tif tune` with one budget, three seeds."""
