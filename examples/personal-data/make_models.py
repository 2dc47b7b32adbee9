"""Make two tiny models that stand for yours: `models/base` never saw the customers, `models/customers` knows them.

    python make_models.py

Both have under a million weights. It takes some seconds and needs no network.
"""

from __future__ import annotations

from pathlib import Path

from tif import sources
from tif.demo.models import Recipe, pretrain


def main() -> None:
    """Teach the base model the people to keep, then teach a copy of it everybody."""
    keep = sources.load("keep.csv").examples
    everybody = [*sources.load("customers.csv").examples, *keep]
    base, customers = Path("models/base"), Path("models/customers")
    pretrain(keep, everybody, base, Recipe(), "training models/base")
    pretrain(everybody, everybody, customers, Recipe(), "training models/customers", start=base)


if __name__ == "__main__":
    main()
