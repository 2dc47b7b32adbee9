"""Does it work? Unlearning on a real model, measured at the last step: `make tofu` (docs/results.md)."""
