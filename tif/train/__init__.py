"""Unlearning: options, tokens to train on, objectives, the trainer and its record. Calling the package trains."""

from tif.callable import make_callable

make_callable(__name__, "tif.trajectory:train")
