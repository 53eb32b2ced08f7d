"""How far around itself a pixel of the reconstruction looks, and what an image of any size takes in memory.

reach.py       along one axis: which places of a tensor a tile computes as the whole image does
call.py        one call of an operator of PyTorch
operators.py   the rule of each; places.py and layouts.py have them
trace.py       a model run on shapes alone, its operators noted
measure.py     the figures of a model, confirmed by a run of it
"""

from aedeploy.models.any_size.measure import measure_any_size

__all__ = ["measure_any_size"]
