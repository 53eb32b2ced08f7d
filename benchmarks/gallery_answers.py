"""The measured answers of the gallery: from the exported graphs of trained models to a sentence each.

gallery_measures.py has how each figure is made, gallery_says.py the words.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import gallery_measures as measure
import gallery_says as say
import numpy as np

from aedeploy.data import digits
from aedeploy.data.digits import HELD_OUT, every_digit
from aedeploy.data.labels import digit_labels
from aedeploy.data.split import held_out_indices
from aedeploy.evaluation.find import find_images
from aedeploy.images.pixels import to_floats
from aedeploy.pictures import Subject
from aedeploy.pictures.corruption import corrupted
from aedeploy.pictures.draw import draw
from aedeploy.pictures.kinds.activity import activity
from aedeploy.pictures.kinds.denoising import psnr
from aedeploy.pictures.kinds.feature_maps import feature_maps
from aedeploy.pictures.kinds.filters import first_filters
from aedeploy.pictures.kinds.latents import same_label_share
from aedeploy.pictures.kinds.samples import from_mixture, from_prior
from aedeploy.pictures.kinds.sweep import pca_curve
from aedeploy.pictures.weights import model_of
from aedeploy.runtime.codec import image_geometry

SWEEP, SIZES = "sweep-latent", (2, 4, 8, 16, 32, 64, 128)
_DRAWS = 1000
_SIGMAS = (0.1, 0.2, 0.4, 0.6, 0.8)


class Models:
    """Trained models by their names in a folder, each opened once, looked at with the 1,000 held-out digits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._subjects: dict[str, Subject] = {}

    def __getitem__(self, name: str) -> Subject:
        if name not in self._subjects:
            found = Subject(self.folder / name)
            if self.refused(found):
                found = Subject(self.folder / name, backend="eager")
            self._subjects[name] = found
        return self._subjects[name]

    @staticmethod
    def refused(subject: Subject) -> bool:
        """Whether a graph of it was found to differ from PyTorch, so that nothing runs it."""
        return any(graph.parity == "failed" for graph in subject.manifest.graphs)

    def of_size(self, size: int) -> Subject:
        """A model of the sweep over latent sizes."""
        return self[f"{SWEEP}/latent_dim-{size}"]

    def errors(self, *names: str) -> dict[str, float]:
        """The mean squared errors of reconstructions, pixels in [0, 1]."""
        return {name: float(self[name].errors.mean()) for name in names}

    @cached_property
    def real(self) -> measure.RealImages:
        """The 9,000 digits that the models were trained on, with their labels."""
        trained = np.ones(len(every_digit()), bool)
        trained[held_out_indices(len(trained), HELD_OUT)] = False
        return measure.RealImages(digits().train, digit_labels()[trained])

    def pca(self, like: str, *sizes: int) -> dict[int, float]:
        """The error of PCA by its number of components, fitted to the digits that a model was trained on."""
        bundle = self[like].bundle
        return pca_curve(find_images(bundle), image_geometry(bundle), list(sizes))


def labels_of(subject: Subject) -> np.ndarray:
    return np.array([str(label) for label in subject.images.labels or ()])


def latent_size(models: Models) -> str:
    errors = {size: float(models.of_size(size).errors.mean()) for size in SIZES}
    return say.latent_size(errors, models.pca(f"{SWEEP}/latent_dim-{SIZES[0]}", *SIZES))


def gaps(models: Models) -> str:
    shares, widest, clear, usual, offsets = {}, {}, {}, {}, {}
    for name in ("mlp-2d", "mlp512-2d", "vae-2d"):
        subject = models[name]
        crossed, places = measure.crossings(subject.flat, labels_of(subject))
        shares[name] = float(np.mean(list(crossed.values())))
        pair = max(crossed, key=lambda each, crossed=crossed: crossed[each])
        widest[name] = (*pair, crossed[pair])
        clear[name] = models.real.clear(subject.decode(places))
        usual[name] = models.real.clear(subject.reconstructions)
        offsets[name] = float(np.linalg.norm(subject.flat.mean(axis=0)))
    variational = {"vae-2d": shares.pop("vae-2d")}
    heap = measure.heap_crossings(len(models["vae-2d"].flat))
    return f"{say.gaps(shares, variational, heap, widest, clear, usual)} {say.centred(offsets)}"


def smooth(models: Models) -> str:
    strip, uneven = {}, {}
    for name in ("mlp-2d", "mlp512-2d", "vae-2d"):
        subject = models[name]
        pairs = measure.different_pairs(labels_of(subject))
        strip[name] = float(measure.strips(subject.decode, subject.flat, pairs).mean())
        uneven[name] = measure.unevenness(subject.decode, subject.flat)
    return say.smooth(strip, uneven, "vae-2d")


def no_prior(models: Models) -> str:
    scale, outside, clear = {}, {}, {}
    for name in ("stochastic", "vae-2d"):
        subject = models[name]
        drawn = from_prior(_DRAWS, 2, np.random.default_rng(0))
        sigma = np.exp(0.5 * subject.code["logvar"].astype(np.float64))
        scale[name] = float(np.median(sigma / subject.flat.std(axis=0)))
        outside[name] = float(measure.empty(subject.flat, drawn).mean())
        clear[name] = models.real.clear(subject.decode(drawn))
    return say.no_prior("stochastic", "vae-2d", scale, outside, clear)


def convolutions(models: Models) -> str:
    subject = models["deep-conv"]
    model = model_of(subject, "Feature maps")
    even = measure.evenness(first_filters(model, subject.manifest.image))
    layers = feature_maps(model, to_floats(subject.pixels[:1]))
    ink, edges = int((even > 0.5).sum()), int((even <= 0.5).sum())
    spread, _ = activity(subject.units)
    said = say.convolutions(
        "deep-conv", [layers[0].maps.shape[1], layers[-1].maps.shape[1]], ink, edges, len(even),
        int((spread == 0.0).sum()), len(spread),
    )  # fmt: skip
    other = models["conv"]
    used = activity(other.units)[1]
    ratio = float(np.prod(other.shape)) / other.flat.shape[1]
    return (
        f"{said} {say.larger_latent('conv', ratio, models.errors('conv')['conv'], int((used == 0).sum()), len(used))}"
    )


def checkerboard(models: Models) -> str:
    transposed = ["conv", "deep-conv", "strided-conv"]
    energy = {name: measure.stride_energy(models[name].reconstructions) for name in (*transposed, "upsample-conv")}
    return say.checkerboard(energy, transposed, "upsample-conv", measure.stride_energy(models["conv"].pixels))


def relu_latent(models: Models) -> str:
    names = ("mlp-64", "flexible", "mlp-64-linear")
    dead = {name: int((activity(models[name].units)[1] == 0.0).sum()) for name in names}
    return say.relu_latent(dead, 64, models.errors(*names), "mlp-64-linear", models.pca("mlp-64", 64)[64])


def sparsity(models: Models) -> str:
    names = ("sparse", "k-sparse", "batch-topk")
    used = {name: float((models[name].flat != 0.0).sum(axis=1).mean()) for name in names}
    dead = {name: int((activity(models[name].units)[1] == 0.0).sum()) for name in names}
    return say.sparsity(used, dead, models.errors(*names), models["sparse"].flat.shape[1])


def contraction(models: Models) -> str:
    names = ("contractive", "contractive-weight-0")
    spectra = draw("jacobian", models[names[0]], against=str(models.folder / names[1])).figures["spectra"]
    norm = {name: spectra[name]["norm"] for name in names}
    return say.contraction(norm, {name: spectra[name]["above_tenth"] for name in names}, models.errors(*names), *names)


def codebook(models: Models) -> str:
    names = ("vq-vae", "fsq")
    found = {name: draw("codebook", models[name]).figures for name in names}
    return say.codebook(
        {name: found[name]["used"] for name in names},
        {name: found[name]["size"] for name in names},
        {name: found[name]["perplexity"] for name in names},
        models.errors(*names),
    )


def arithmetic(models: Models) -> str:
    found = {
        name: measure.same_class(models[name].flat, labels_of(models[name])) for name in ("mlp-32", "vae", "wae-mmd")
    }
    return say.arithmetic({name: pair[0] for name, pair in found.items()}, {n: pair[1] for n, pair in found.items()})


def failures(models: Models) -> str:
    subject = models["mlp-32"]
    errors, labels = subject.errors, labels_of(subject)
    by_label = {name: float(errors[labels == name].mean() / errors.mean()) for name in subject.images.classes}
    factors = measure.shape_factors(subject.pixels)
    tied = {name: measure.rank_correlation(errors, values) for name, values in factors.items()}
    return say.failures(by_label, tied, float(errors.max() / np.median(errors)), "mlp-32")


def drawing(models: Models) -> str:
    prior, mixture, usual = {}, {}, {}
    names = ("mlp-20", "ae", "wae-mmd", "vae")
    for name in names:
        subject = models[name]
        drawn = from_prior(_DRAWS, subject.flat.shape[1], np.random.default_rng(0))
        prior[name] = models.real.clear(subject.decode(drawn))
        mixture[name] = models.real.clear(subject.decode(from_mixture(subject.flat, _DRAWS, None, 0).latents))
        usual[name] = models.real.clear(subject.reconstructions)
    real = models.real.clear(models["mlp-20"].pixels)
    return say.drawing(prior, mixture, usual, real, "mlp-20", [n for n in names if models[n].prior is not None])


def denoising(models: Models) -> str:
    subject = models["denoising"]
    table = subject.manifest.recipe["corruption"]
    clean = to_floats(subject.pixels)
    before, after = {}, {}
    for sigma in _SIGMAS:
        noisy, _ = corrupted(clean, table, sigma, subject.generator(f"gallery {sigma}"))
        before[sigma] = float(psnr(clean, noisy).mean())
        after[sigma] = float(psnr(clean, subject.denoise(noisy, 255.0 * sigma)).mean())
    untouched = float(psnr(clean, to_floats(subject.reconstructions)).mean())
    return say.denoising(before, after, max(table["gaussian"]["sigma"]), untouched)


def dimensions(models: Models) -> str:
    factors = measure.shape_factors(models["beta-vae"].pixels)
    units = models["beta-vae"].units
    best = {}
    for factor, values in factors.items():
        tied = [measure.rank_correlation(unit, values) for unit in units]
        at = int(np.abs(tied).argmax())
        best[factor] = ("beta-vae", at + 1, tied[at])
    kl = {name: models[name].kl for name in ("beta-vae", "vae")}
    return say.dimensions(
        {name: int((values > 0.1).sum()) for name, values in kl.items() if values is not None},
        {name: float(values.sum()) for name, values in kl.items() if values is not None},
        len(units),
        best,
    )


def training(models: Models, names: tuple[str, ...]) -> str:
    falling, rising = [], []
    for name in names:
        losses = [epoch["held_out_loss"] for epoch in models[name].history()]
        phases = [epoch.get("phase") for epoch in models[name].history()]
        last = [loss for loss, phase in zip(losses, phases, strict=True) if phase == phases[-1]]
        if last[-1] > min(last):
            rising.append(name)
        elif last[-1] < 0.99 * min(last[:-1], default=last[-1]):
            falling.append(name)
    return say.training(falling, rising, len(names))


def neighbours(models: Models) -> str:
    first = models.of_size(SIZES[0])
    labels = labels_of(first)
    shares = {size: same_label_share(models.of_size(size).flat, labels) for size in SIZES}
    return say.neighbours(shares, same_label_share(to_floats(first.pixels).reshape(len(labels), -1), labels))


def depth(models: Models) -> str:
    names = ("mlp-32", "deep-mlp", "stacked")
    black = np.square(models["mlp-32"].pixels / 255.0).mean(axis=(1, 2, 3))
    failed = {name: int((models[name].errors > black).sum()) for name in names}
    return say.depth(models.errors(*names), failed, "mlp-32", models.pca("mlp-32", 32)[32], 32)
