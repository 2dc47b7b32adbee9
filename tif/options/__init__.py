"""Declare each option once, and derive every use of it from the declaration.

    class TrainOptions(Options):
        lr: Annotated[float, Option("Peak learning rate.", "Training", above=0)] = 1e-5

From such a class come the command line (`command`), a config file's keys (`read_config`), the run's record
(`Options.to_json`), the Python API's signature (the class itself), and the reference page (`declared`).

The command line wins over the config file, and the config file over the defaults.
"""

from tif.options.commandline import command
from tif.options.components import Components, Keywords
from tif.options.config import merge, read_config
from tif.options.declare import Declared, Idle, Option, Options, declared, needs, only_with
from tif.options.older import of_today
from tif.options.written import Written, counted, shortest

__all__ = [
    "Components",
    "Declared",
    "Idle",
    "Keywords",
    "Option",
    "Options",
    "Written",
    "command",
    "counted",
    "declared",
    "merge",
    "needs",
    "of_today",
    "only_with",
    "read_config",
    "shortest",
]
