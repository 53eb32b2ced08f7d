"""What each exported variant of a model costs on this machine, and what it loses. Needs no torch.

contenders.py   what is measured, and what cannot be
process.py      a process of its own for each of them
worker.py       what such a process does
quality.py      what a variant's reconstructions lose against PyTorch's
result.py       the rows, and what they say
run.py          benchmark: all of it, in interleaved rounds
"""

from aedeploy.bench.result import BenchReport, Row
from aedeploy.bench.run import benchmark

__all__ = ["BenchReport", "Row", "benchmark"]
