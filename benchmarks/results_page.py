"""docs/results.md, from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
Results = Mapping[str, Result]


@dataclass(frozen=True)
class Reference:
    """A figure of an independent implementation, or one that was asked for, and where ours is."""

    run: str
    what: str
    wanted: float
    measured: Callable[[Result], float]
    source: str = "independent"
    tolerance: float = 0.03

    def verdict(self, value: float) -> str:
        """In words: at most the tolerance above what was wanted is within it."""
        if value <= self.wanted:
            return "better"
        off = value / self.wanted - 1
        return f"{off:+.1%}" if off <= self.tolerance else f"**{off:+.1%}**"


def _test(name: str) -> Callable[[Result], float]:
    return lambda result: float(result["test"][name])


REFERENCES = (
    Reference("mlp-32", "test BCE", 0.0854, _test("bce")),
    Reference("mlp-32", "test MSE", 0.0079, _test("mse")),
    Reference("mlp-32", "train BCE of epoch 10", 0.0868, lambda r: r["history"][-1]["train_loss"], "source E"),
    Reference("mlp-20", "test MSE", 0.0086, _test("mse")),
    Reference("mlp-64", "test MSE", 0.0097, _test("mse")),
    Reference("mlp512-2d", "test MSE", 0.0441, _test("mse")),
    Reference("vae-2d", "squared error + KL, an image", 35.7 + 3.97, _test("loss")),
    Reference("vae-2d", "test MSE at the mean", 0.0442, _test("mse")),
    Reference("mlp-2d", "test MSE, standardised", 0.447, _test("loss")),
    Reference("mlp-2d-loss-l1", "test L1, standardised", 0.292, _test("loss")),
    Reference("vae", "−ELBO, nats", 105.7, lambda r: -r["test"]["elbo_nats"]),
    Reference("vae", "−ELBO, nats: the least asked for", 106.5, lambda r: -r["test"]["elbo_nats"], "asked", 0.0),
)


def write_page(path: Path, results: Results) -> None:
    """Write the page of all results that there are."""
    some = next(iter(results.values()))
    packages = ", ".join(f"{name} {version}" for name, version in some["packages"].items())
    parts = [
        "# Results",
        "Every recipe, trained on MNIST's 60,000 training images for its own number of epochs with seed 0, exported as "
        "ONNX and TorchScript, and measured on the 10,000 test images. `make results` repeats it; what is done is kept "
        "in `artifacts/results`, so an interrupted run goes on.",
        f"Measured with {packages} on {some['platform']}, two cores of a shared machine: the seconds are those of the "
        "training steps and are worth little there.",
        "## Reconstruction",
        "Figures are of the *exported* encoder and decoder, run by onnxruntime. PCA has as many numbers as the latent "
        "(or, for a codebook, as many bits, with coefficients of 8 bits), fitted on the training images; its two "
        "figures are its MSE, and that of its output clipped to [0, 1] as every decoder's is, which is harder to beat. "
        "A recipe that is worse than the latter says so by a bold ratio. Many recipes trade this figure for what the "
        "next tables show.",
        _reconstruction(results),
        "The mean image has an MSE of .0675 and a BCE of .2625; the least BCE there can be, the entropy of the grey "
        "pixels, is .0581 a pixel, 45.5 nats an image.",
        "## Against figures known beforehand",
        "Within 3 % of an independent implementation, or better; what is not is bold.",
        _references(results),
        *_families(results),
        "## Proof of the exports",
        "The largest difference between each exported graph and the model in PyTorch, over real images, extremes and "
        "noise at batch sizes 1, 2, 7 and 64. For a codebook, the share of indices that differ.",
        _parity(results),
    ]
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _reconstruction(results: Results) -> str:
    rows = []
    for name, result in results.items():
        found, latent = result["evaluation"]["reconstruction"], result["evaluation"]["latent"]
        pca = result["evaluation"]["baselines"]["pca"]
        ratio = found["mse"] / pca["mse_clipped"] if pca and pca["mse_clipped"] > 1e-9 else None
        shape = "×".join(map(str, latent["shape"]))
        rows.append(
            [
                f"`{name}`",
                f"{result['parameters']:,}",
                shape,
                f"{latent['numbers_ratio']:.3g}",
                str(len(result["history"])),
                f"{result['train_seconds']:.0f}",
                f"{found['mse']:.4f}",
                _number(found["psnr"], ".2f"),
                _number(found["ssim"], ".3f"),
                _number(found["bce"], ".4f"),
                f"PCA-{pca['components']}: {pca['mse']:.4f}, {pca['mse_clipped']:.4f}" if pca else "–",
                "–" if ratio is None else f"{ratio:.2f}" if ratio < 1 else f"**{ratio:.3g}**",
            ]
        )
    header = ["recipe", "parameters", "latent", "numbers, × fewer", "epochs", "seconds"]
    return _table([*header, "MSE", "PSNR", "SSIM", "BCE", "PCA", "MSE / PCA"], rows)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _references(results: Results) -> str:
    rows = []
    for reference in REFERENCES:
        if reference.run in results:
            value = reference.measured(results[reference.run])
            wanted = f"{reference.wanted:.4g}"
            rows.append([f"`{reference.run}`", reference.what, reference.source, wanted, f"{value:.4g}"])
            rows[-1].append(reference.verdict(value))
    return _table(["recipe", "figure", "from", "wanted", "measured", ""], rows)


def _families(results: Results) -> list[str]:
    parts = []
    for title, text, table in (
        ("Distributions", "In nats an image; a unit is active when its mean varies by more than .01.", _gaussian),
        ("Codebooks", "Use: the share of entries that the test set uses.", _codebook),
        ("Sparsity", "Of the latents that the exported encoder gives.", _sparsity),
        ("Denoising", "PSNR in dB of the test set with gaussian noise, and of what comes out. Recipes below the line "
         "were trained on clean images.", _denoising),
        ("Contraction", "Mean of ‖∂latent/∂image‖²_F over 64 test images, by autograd: `contractive`, the same network "
         "without its penalty, and others, whose latents have scales of their own.", _contraction),
        ("Layer by layer", "Held-out loss of each phase, first and last epoch.", _phases),
    ):  # fmt: skip
        found = table(results)
        if found:
            parts += [f"## {title}", text, found]
    return parts


def _gaussian(results: Results) -> str:
    rows = []
    for name, result in results.items():
        found = result["evaluation"]["gaussian"]
        if found:
            rows.append(
                [
                    f"`{name}`",
                    _number(found["elbo_nats"], ".1f"),
                    _number(found["reconstruction_nats"], ".1f"),
                    _number(found["kl_nats"], ".2f"),
                    f"{found['active_units']} of {found['units']}",
                    _number(result["test"].get("loss_bound"), ".1f"),
                ]
            )
    header = ["recipe", "ELBO", "reconstruction", "KL", "active units", "bound of 5 samples"]
    return _table(header, rows) if rows else ""


def _codebook(results: Results) -> str:
    rows = []
    for name, result in results.items():
        found = result["evaluation"]["codebook"]
        if found:
            pca = result["evaluation"]["baselines"]["pca"]
            mse = result["evaluation"]["reconstruction"]["mse"]
            better = "better" if mse < pca["mse_clipped"] else "**worse**"
            rows.append(
                [f"`{name}`", str(found["size"]), f"{found['used_share']:.1%}", f"{found['perplexity']:.0f}",
                 f"{found['bits']:.0f}", f"{mse:.4f}", f"{pca['mse_clipped']:.4f} (PCA-{pca['components']})", better]
            )  # fmt: skip
    header = ["recipe", "entries", "use", "perplexity", "bits an image", "MSE", "PCA of as many bits", ""]
    return _table(header, rows) if rows else ""


def _sparsity(results: Results) -> str:
    rows = []
    for name, result in results.items():
        found = result["evaluation"]["sparsity"]
        if found:
            rows.append(
                [f"`{name}`", str(result["evaluation"]["latent"]["numbers"]), f"{found['l0']:.1f}",
                 f"{found['zeros']:.1%}", f"{found['mean_activation']:.3g}", str(found["dead_units"])]
            )  # fmt: skip
    header = ["recipe", "units", "not zero, an image", "zeros", "mean activation", "dead units"]
    return _table(header, rows) if rows else ""


def _denoising(results: Results) -> str:
    def row(name: str, result: Result) -> list[str]:
        found = result["evaluation"]["denoising"]
        return [f"`{name}`", *(f"{at['noisy_psnr']:.2f} → {at['psnr']:.2f}" for at in found)]

    trained = {name: result for name, result in results.items() if result["recipe"]["corruption"]}
    usual = {name: result for name, result in results.items() if name in ("ae", "deep-conv", "mlp-32", "vae")}
    if not trained:
        return ""
    some = next(iter(trained.values()))["evaluation"]["denoising"]
    rows = [row(name, result) for name, result in trained.items()]
    rows += [["—"] + [""] * len(some)] if usual else []
    rows += [row(name, result) for name, result in usual.items()]
    return _table(["recipe", *(f"σ = {at['sigma']:g}" for at in some)], rows)


def _contraction(results: Results) -> str:
    names = [name for name in ("contractive", "contractive-weight-0", "ae", "mlp-20") if name in results]
    rows = [[f"`{name}`", f"{results[name]['jacobian']:.4g}"] for name in names]
    return _table(["recipe", "‖J‖²"], rows) if "contractive" in results else ""


def _phases(results: Results) -> str:
    rows = []
    for name, result in results.items():
        phases = list(dict.fromkeys(epoch["phase"] for epoch in result["history"]))
        for phase in phases if len(phases) > 1 else []:
            losses = [epoch["held_out_loss"] for epoch in result["history"] if epoch["phase"] == phase]
            rows.append([f"`{name}`", phase, f"{losses[0]:.4g}", f"{losses[-1]:.4g}"])
    return _table(["recipe", "phase", "first", "last"], rows) if rows else ""


def _parity(results: Results) -> str:
    rows = []
    for name, result in results.items():
        graphs = result["parity"]["results"]
        cells = [
            _largest(next((g for g in graphs if g["role"] == role and g["format"] == format), None))
            for format in ("onnx", "torchscript")
            for role in ("encoder", "decoder", "autoencoder")
        ]
        rows.append([f"`{name}`", *cells])
    roles = [f"{format} {role}" for format in ("onnx", "torchscript") for role in ("encoder", "decoder", "autoencoder")]
    return _table(["recipe", *roles], rows)


def _largest(graph: Mapping[str, Any] | None) -> str:
    if graph is None:
        return "–"
    worst = max((output["max_abs"] for output in graph["worst"] if output["max_abs"] is not None), default=0.0)
    return f"{worst:.1e}" if graph["passed"] else f"**failed** ({graph['reason']})"
