"""Text to spans: annotators, alignment of quotes, and the run that saves a set. Calling the package annotates."""

from tif.callable import make_callable

make_callable(__name__, "tif.annotate.request:annotate")
