"""How well noise is removed, by the protocol of the literature, beside the classical methods.

protocol.py    the noise, the rounding, PSNR and SSIM
methods.py     what removes noise: a bundle, and the least that anything must offer to be measured
classical.py   BM3D and non-local means, each from its own package
estimate.py    how well the noise is told from the image, and what a clean one comes to
result.py      a row for each image, σ and method; their means; files of both
run.py         all of it over a folder
"""

from aedeploy.evaluation.denoising.result import DenoisingEvaluation
from aedeploy.evaluation.denoising.run import evaluate_denoising

__all__ = ["DenoisingEvaluation", "evaluate_denoising"]
