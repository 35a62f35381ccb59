"""Checkpoints with random options of a family, and references, for compare.ts.

usage: random_family.py FAMILY OUTDIR [COUNT]      writes OUTDIR/FAMILY-0 and so on; FAMILY is one of dense.RANDOM
"""
import pathlib
import random
import sys

from transformers.utils import logging

from dense import RANDOM
from family import make

logging.set_verbosity_error()
logging.disable_progress_bar()

# Layers listed by hand have no counterpart in what transformers 4 wrote.
LISTED = ("layer_types",)

family, out, count = sys.argv[1], pathlib.Path(sys.argv[2]), int((sys.argv[3:] or [20])[0])
for i in range(count):
    rng = random.Random(f"{family} {i}")
    config = dict(RANDOM[family](rng), model_type=family)
    dialect = 5 if any(name in config for name in LISTED) else rng.choice([4, 5])
    next(seed for seed in range(100) if make(config, out / f"{family}-{i}", seed, dialect))
    print(f"{family}-{i} dialect {dialect}")
