"""A sweep: one variant trained at every point of a grid of values, each point in a process of its own.

grid.py      the axes as --over gives them, their product, and the names of points
plan.py      plan_sweep: everything that can be refused before anything trains
record.py    sweep.json: what a folder of points was made with
run.py       run_sweep: the whole of it, as a generator of events
pool.py      processes side by side
worker.py    what one of them does
results.py   what a point came to, and the table of all as JSON, CSV and Markdown
"""

from aedeploy.training.sweep.grid import Axis, parse_axis
from aedeploy.training.sweep.plan import Sweep, SweepConfig, plan_sweep
from aedeploy.training.sweep.run import run_sweep

__all__ = ["Axis", "Sweep", "SweepConfig", "parse_axis", "plan_sweep", "run_sweep"]
