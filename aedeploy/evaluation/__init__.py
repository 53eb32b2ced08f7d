"""How good a bundle is, measured on what ships: its exported graphs, in NumPy, without torch.

images.py      the images that are measured on, and those that a PCA may be fitted to
find.py        from a bundle and --data to those images
labelled.py    images with what they show, for pictures
run.py         one pass over them
reconstruction.py   MSE, MAE, PSNR, SSIM, BCE
ssim.py        structural similarity
gaussian.py    KL, active units, ELBO
codebook.py    use and perplexity of a codebook
sparsity.py    zeros in latents
noise.py       what is left of noise
pca.py         principal components
baselines.py   what the figures are held against
result.py      all of it together
denoising/     noise taken out of images at full size, beside the classical methods
"""

from aedeploy.evaluation.result import Evaluation
from aedeploy.evaluation.run import evaluate

__all__ = ["Evaluation", "evaluate"]
