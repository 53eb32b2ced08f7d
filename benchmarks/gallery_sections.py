"""The questions of the gallery: the exercise, the pictures, how to read them, and who measures the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gallery_answers as answers
from gallery_answers import SIZES, SWEEP, Models


@dataclass(frozen=True)
class Model:
    """What is trained: a recipe with its own settings, or with some of them changed."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()


MODELS = {
    model.name: model
    for model in (
        *(
            Model(name, name)
            for name in (
                "mlp-2d", "mlp-20", "mlp-64", "conv", "deep-conv", "strided-conv", "upsample-conv", "deep-mlp",
                "stacked", "flexible", "stochastic", "mlp512-2d", "vae-2d", "mlp-32", "ae", "denoising", "sparse",
                "k-sparse", "batch-topk", "contractive", "vae", "beta-vae", "vq-vae", "fsq", "wae-mmd",
            )
        ),
        Model("mlp-64-linear", "mlp-64", ("model.bottleneck.name=identity",)),
        Model("contractive-weight-0", "contractive", ("objective.contractive.weight=0",)),
        *(Model(f"{SWEEP}/latent_dim-{size}", "mlp-32", (f"model.latent_dim={size}",)) for size in SIZES),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One picture: a kind, the model that it is of (or the folder of a sweep), and what is chosen of the kind."""

    kind: str
    model: str
    choices: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its file, without theme and ending."""
        chosen = [str(value) for key, value in self.choices.items() if key in ("source", "method")]
        return "-".join([self.kind, self.model, *chosen])


@dataclass(frozen=True)
class Section:
    """``key``: its name for --only. ``read``: how to read the pictures. ``made``: how the figures are defined."""

    key: str
    question: str
    exercise: str
    shots: tuple[Shot, ...]
    read: str
    answer: Callable[[Models], str]
    made: str
    models: tuple[str, ...]


_CLEAR = (
    "An image is *like one digit* where, of the ten training digits nearest to it by their pixels, eight or more have "
    "the same label."
)
_MSE = "Errors are mean squared errors of 1,000 held-out digits, pixels in [0, 1]."
_SWEPT = tuple(f"{SWEEP}/latent_dim-{size}" for size in SIZES)
_TRAINED_ALONE = tuple(name for name in MODELS if name not in _SWEPT)

SECTIONS = (
    Section(
        "latent-size",
        "Does the latent size matter?",
        "Train the same network with latents of 2 to 128 numbers, and hold its error against that of principal "
        "components.",
        (Shot("sweep", SWEEP),),
        "Lower is better; above the dashed line a linear model of the same size does better.",
        answers.latent_size,
        f"{_MSE} PCA is fitted to the same 9,000 training digits.",
        _SWEPT,
    ),
    Section(
        "gaps",
        "Are there gaps between the clusters?",
        "Look at a latent of two numbers as a map: are there places between the digits to which no digit goes, and "
        "what does the decoder make of them?",
        (
            Shot("latents", "mlp512-2d"), Shot("latents", "vae-2d"),
            Shot("manifold", "mlp512-2d"), Shot("manifold", "vae-2d"),
        ),
        "Points are held-out digits, coloured by label; below, each place of the map decoded (of `mlp512-2d` over the "
        "range of its latents, of `vae-2d` over the quantiles of its prior).",
        answers.gaps,
        "Of each two classes, 60 straight ways between held-out digits, 21 places each. A place is *empty* where none "
        "of the 1,000 latents is within 5 % of the map's width, which in each direction is that of the middle 98 % of "
        f"them. {_CLEAR}",
        ("mlp-2d", "mlp512-2d", "vae-2d"),
    ),
    Section(
        "smooth",
        "Is the variational map smooth?",
        "Walk straight from one digit's latent to another's and decode on the way: does the image change evenly, or "
        "does it jump?",
        (Shot("interpolation", "mlp512-2d"), Shot("interpolation", "vae-2d")),
        "Every strip is one way; an even change from image to image is a smooth map.",
        answers.smooth,
        "Of 200 pairs of held-out digits with different labels: root mean squared differences of neighbouring images. "
        "Over the map: 40×40 places over the middle 98 % of the latents, the 99th percentile of the steps.",
        ("mlp-2d", "mlp512-2d", "vae-2d"),
    ),
    Section(
        "no-prior",
        "Is a sampled latent without a KL a prior?",
        "Let the encoder give a mean and a scale and decode a sample, but leave out the KL: can one draw new digits "
        "from N(0, I)?",
        (
            Shot("samples", "stochastic", {"source": "prior", "count": 36}),
            Shot("samples", "vae-2d", {"source": "prior", "count": 36}),
        ),
        "Each image is decoded from a draw of N(0, I): above, of the model without a KL; below, with it.",
        answers.no_prior,
        "σ is the median over 1,000 held-out digits. Of 1,000 draws, a draw falls *where no latent is* as an empty "
        f"place above. {_CLEAR}",
        ("stochastic", "vae-2d"),
    ),
    Section(
        "convolutions",
        "What do the convolutional maps see?",
        "Show what each stage of a convolutional encoder makes of one digit, and the filters of its first layer.",
        (Shot("feature-maps", "deep-conv", {"image": 3}), Shot("filters", "deep-conv"), Shot("filters", "conv")),
        "Orange and purple are below and above 0. Early maps keep the strokes, late ones only coarse places.",
        answers.convolutions,
        "A filter *adds up ink* where |Σ w| > ½ Σ |w|, and is an *edge* otherwise. Channels are counted over all 1,000 "
        "held-out digits.",
        ("deep-conv", "conv"),
    ),
    Section(
        "checkerboard",
        "Transposed convolution or upsampling: does one leave a checkerboard?",
        "A transposed convolution paints with a stride, so that some pixels get more strokes than their neighbours. "
        "Look for the pattern.",
        (
            Shot("reconstructions", "conv", {"columns": 4}), Shot("reconstructions", "upsample-conv", {"columns": 4}),
        ),
        "Look at the errors of empty ground and of thick strokes: a pattern of single pixels is the stride's.",
        answers.checkerboard,
        "The standard deviation of the mean brightness of the four kinds of pixels (row and column even or odd) over "
        "1,000 reconstructions, by the mean brightness: the energy of the mean image at the stride's frequencies.",
        ("conv", "deep-conv", "strided-conv", "upsample-conv"),
    ),
    Section(
        "relu-latent",
        "Does a ReLU on the latent cost anything?",
        "A ReLU after the last layer of the encoder is quickly written. Count the numbers that are lost by it.",
        (Shot("activity", "mlp-64"), Shot("activity", "mlp-64-linear")),
        "Right, the units by how active they are: bars of height 0 are units that the decoder never sees.",
        answers.relu_latent,
        f"`mlp-64-linear` is `mlp-64` with a linear latent. {_MSE}",
        ("mlp-64", "mlp-64-linear", "flexible"),
    ),
    Section(
        "sparsity",
        "How sparse is sparse?",
        "Ask for few active numbers in three ways: by an L1 penalty, by keeping the 24 largest of each image, or those "
        "of a batch.",
        (Shot("activity", "sparse"), Shot("activity", "k-sparse"), Shot("activity", "batch-topk")),
        "Right, for how many images each unit is not 0: an even slope is shared work, a cliff are unused units.",
        answers.sparsity,
        _MSE,
        ("sparse", "k-sparse", "batch-topk"),
    ),
    Section(
        "contraction",
        "Does the contractive penalty contract?",
        "Train the same network with and without the penalty on ∂z/∂x, and compare how much the latent moves for a "
        "small change of the image.",
        (Shot("jacobian", "contractive", {"against": "contractive-weight-0"}),),
        "Singular values of ∂z/∂x, median and middle half: the steeper the fall, the fewer directions count.",
        answers.contraction,
        f"The Jacobian is exact, by autograd, at 16 held-out digits, evenly spaced. {_MSE}",
        ("contractive", "contractive-weight-0"),
    ),
    Section(
        "codebook",
        "Is the codebook used?",
        "A quantised latent has a list of codes. Count which of them occur.",
        (Shot("codebook", "vq-vae"), Shot("codebook", "fsq")),
        "Bars are codes by falling use, the line is the perplexity; below, where in a digit which codes are.",
        answers.codebook,
        "Over the 49 places of 1,000 held-out digits; perplexity is the exponential of the entropy of their use. "
        f"{_MSE}",
        ("vq-vae", "fsq"),
    ),
    Section(
        "arithmetic",
        "Can one do arithmetic with latents?",
        "Add and take away the latents of digits. With z₂ and z₃ of one class, is z₁ + z₂ − z₃ still of the class of "
        "z₁?",
        (Shot("arithmetic", "vae"),),
        "The last image of a row is decoded from the sum of the first two latents without the third; here all three "
        "are of different classes.",
        answers.arithmetic,
        "2,000 triples of held-out digits, z₁ of another class than z₂ and z₃; the class of a latent is that of the "
        "nearest mean latent.",
        ("mlp-32", "vae", "wae-mmd"),
    ),
    Section(
        "failures",
        "Where does an autoencoder fail?",
        "Sort the held-out digits by their error and look at both ends.",
        (Shot("reconstructions", "mlp-32", {"columns": 7}),),
        "Originals, reconstructions and where they differ: the best, the median and the worst.",
        answers.failures,
        "Ink is the mean brightness, width and height the standard deviations of where the ink is, slant how far it "
        "leans; the correlation with the error is Spearman's, over 1,000 held-out digits.",
        ("mlp-32",),
    ),
    Section(
        "drawing",
        "Can one draw from a deterministic autoencoder?",
        "Decode draws of N(0, I), and draws of a mixture of Gaussians that is fitted to the latents afterwards.",
        (
            Shot("samples", "mlp-20", {"source": "prior", "count": 36}),
            Shot("samples", "mlp-20", {"source": "mixture", "count": 36}),
            Shot("samples", "wae-mmd", {"source": "prior", "count": 36}),
        ),
        "From above: `mlp-20` from N(0, I), from the mixture, and `wae-mmd`, trained towards N(0, I), from it.",
        answers.drawing,
        f"1,000 draws each; the mixture has ten Gaussians and is fitted to 1,000 latents. {_CLEAR}",
        ("mlp-20", "ae", "wae-mmd", "vae"),
    ),
    Section(
        "denoising",
        "How much of the noise goes?",
        "Train on noisy digits to give the clean ones back, then try noise of every strength.",
        (Shot("denoising", "denoising", {"strength": 0.4}),),
        "From above: given, given back, clean; with the PSNR of each.",
        answers.denoising,
        "Mean PSNR of 1,000 held-out digits with gaussian noise of that σ, not clipped, pixels in [0, 1].",
        ("denoising",),
    ),
    Section(
        "dimensions",
        "What do latent dimensions stand for?",
        "Move one number of a latent at a time, and see what changes in the image.",
        (Shot("traversals", "beta-vae", {"rows": 8}), Shot("kl", "beta-vae"), Shot("kl", "vae")),
        "A row of the first picture is one dimension; the bars say how much each tells the decoder.",
        answers.dimensions,
        "KL from N(0, 1), mean of 1,000 held-out digits; rank correlations are Spearman's with ink, width, height and "
        "slant as above, over the same digits.",
        ("beta-vae", "vae"),
    ),
    Section(
        "training",
        "Is training done?",
        "Look at the losses of training and held-out images by epoch.",
        (Shot("curves", "mlp-32"), Shot("curves", "vae")),
        "Both fall together while the model learns; a held-out loss that turns up is overfitting.",
        partial(answers.training, names=_TRAINED_ALONE),
        "By `history.jsonl` of every model of this page but the sweep's; of several phases the last.",
        _TRAINED_ALONE,
    ),
    Section(
        "neighbours",
        "Do classes keep apart although no label was seen?",
        "Bring latents of 32 numbers to the plane by t-SNE and colour them by label; then ask each digit for its "
        "nearest neighbour.",
        (Shot("latents", "mlp-32", {"method": "tsne"}),),
        "Only who is near whom means something here, not how far groups are from each other.",
        answers.neighbours,
        "The share of 1,000 held-out digits whose nearest neighbour among them, by Euclidean distance of latents (or "
        "pixels), has the same label; models of the sweep above.",
        ("mlp-32", *_SWEPT),
    ),
    Section(
        "depth",
        "Does depth help, and training layer by layer?",
        "Give a latent of 32 numbers one hidden layer, or three with batch normalisation and dropout, or three that "
        "are trained one after the other.",
        (Shot("curves", "stacked"), Shot("reconstructions", "deep-mlp", {"columns": 5})),
        "Each phase of the first picture trains one layer on the codes of those before, so its loss has a scale of its "
        "own.",
        answers.depth,
        f"{_MSE} PCA is fitted to the same 9,000 training digits.",
        ("mlp-32", "deep-mlp", "stacked"),
    ),
)  # fmt: skip

#: What ``--quick`` makes, with trainings of one epoch.
QUICK = ("smooth", "failures")
