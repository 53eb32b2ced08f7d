"""The options of encode, decode, reconstruct and denoise, each said once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aedeploy.cli.options import (
    AllowFailed,
    Backend,
    BundleOption,
    Debug,
    Device,
    Json,
    ModelFormat,
    PixelsOption,
    Quiet,
    Verbose,
)


@dataclass(frozen=True, kw_only=True)
class JobOption:
    """One option: the parameter's name, its type, and what it is where nobody says."""

    name: str
    annotation: Any
    default: Any = None

    @property
    def info(self) -> Any:
        """Typer's own description of it."""
        (info,) = self.annotation.__metadata__
        return info

    @property
    def flag(self) -> str:
        """Its long name, as it is typed."""
        declared = (self.info.default, *(self.info.param_decls or ()))
        long = [word for word in declared if isinstance(word, str) and word.startswith("--")]
        return long[0] if long else f"--{self.name.replace('_', '-')}"


def _option(name: str, flag: str, of: Any, default: Any, help: str, metavar: str | None = None) -> JobOption:
    return JobOption(
        name=name, annotation=Annotated[of, typer.Option(flag, metavar=metavar, help=help)], default=default
    )


_INPUT = {
    "encode": "A folder, an image, a list of files (or - for one on stdin), a tar or zip, or a URL.",
    "decode": "The folder that encode wrote, or one file of it, of any format.",
}
_FIRST, _LAST = "Arguments", "Messages"
_OUT = Annotated[
    Path,
    typer.Option("--out", "-o", help="The folder to write to, outside of the input.", rich_help_panel=_FIRST),
]

_INCLUDE = _option(
    "include", "--include", list[str] | None, None, "Only what matches, such as 'train/*.png'; repeatable.", "GLOB"
)
_EXCLUDE = _option(
    "exclude", "--exclude", list[str] | None, None, "Not what matches, such as 'thumbs/'; repeatable.", "GLOB"
)
_LINKS = _option("links", "--links", str, "follow", "Symbolic links: all, those to files, none.", "follow|files|skip")

_READING = (
    _option(
        "max_pixels",
        "--max-pixels",
        int | None,
        None,
        "Refuse larger images by their header. Default: 100 million.",
        "N",
    ),
    _option(
        "decode",
        "--decode",
        str,
        "full",
        "scaled: JPEGs are decoded smaller where that is enough; faster.",
        "full|scaled",
    ),
    _option(
        "resize", "--resize", str, "exact", "To the model's size: stretched, padded, or its middle.", "exact|fit|crop"
    ),
)

_LATENTS = (
    JobOption(
        name="latent_format",
        annotation=Annotated[
            str, typer.Option("--format", "-f", metavar="parquet|npy|safetensors|tar", help="Of the latents' files.")
        ],
        default="parquet",
    ),
    _option("latent_dtype", "--dtype", str, "float32", "Of the latents.", "float32|float16"),
)

_IMAGES = (
    _option("image_format", "--image-format", str, "png", "Of the images.", "png|jpeg|webp|tiff"),
    _option("quality", "--quality", int | None, None, "jpeg, webp: 1 to 100. Default: 90.", "N"),
    _option(
        "compression",
        "--compression",
        str | None,
        None,
        "png: 0 to 9. tiff: none, deflate, lzw. webp: lossless.",
        "N|NAME",
    ),
    _option("container", "--container", str, "tree", "tree: a file an image; tar: archives of them.", "tree|tar"),
    _option("names", "--names", str, "short", "short: a.jpg gives a.png; full: a.jpg.png.", "short|full"),
)
_SIZES = (
    _option("size", "--size", str, "original", "Each image's own, or the model's.", "original|model"),
    _option(
        "tile",
        "--tile",
        str,
        "auto",
        "A fully convolutional model takes larger images in tiles of this side. auto: by memory.",
        "auto|N",
    ),
)

_SCORES = (
    _option("score", "--score", bool, False, "Write each image's error (MSE, SSIM) to Parquet, in place of the image."),
    _option(
        "heatmaps",
        "--heatmaps",
        bool,
        False,
        "With --score: also a picture of each image's error, written as images are.",
    ),
    _option(
        "calibrate",
        "--calibrate",
        Path | None,
        None,
        "With --score: a folder of normal images, by whose errors the others are judged.",
        "DIR",
    ),
    _option(
        "quantile", "--quantile", float, 0.99, "Of the errors of --calibrate: above it, an image is an anomaly.", "Q"
    ),
)

_NOISE = (
    _option(
        "sigma",
        "--sigma",
        str,
        "auto",
        "The noise's standard deviation in levels of 255, for a model that is told; 0 to 55 of the shipped ones. auto: "
        "estimated for each image.",
        "auto|N",
    ),
    _option("strength", "--strength", float, 1.0, "Of the clean image, 0 to 1; the rest is the input.", "S"),
    _option("compare", "--compare", bool, False, "Write before and after, side by side, in place of the clean image."),
)

_GRAPH = (
    JobOption(name="bundle", annotation=BundleOption),
    JobOption(name="backend", annotation=Backend),
    JobOption(name="model_format", annotation=ModelFormat),
    JobOption(name="pixels", annotation=PixelsOption),
    JobOption(name="device", annotation=Device, default="cpu"),
    JobOption(name="allow_failed", annotation=AllowFailed, default=False),
)

_SPEED = (
    _option("batch_size", "--batch-size", str, "auto", "Images that go through the graph at a time.", "auto|N"),
    _option("workers", "--workers", str, "auto", "auto: as many as cores.", "auto|N"),
    _option(
        "processes",
        "--processes",
        str,
        "auto",
        "Whether workers are processes. auto: where images are small.",
        "auto|never|always",
    ),
    _option("engine", "--engine", str, "local", "Who runs the shards: this machine, or a Ray cluster.", "local|ray"),
    _option(
        "address",
        "--address",
        str | None,
        None,
        "Of the Ray cluster: auto, or HOST:PORT. Default: one of this machine.",
    ),
    _option("part", "--shard", str | None, None, "Do the i-th part of n; n processes share --out. From 0.", "i/n"),
)

_TROUBLE = (
    _option("on_error", "--on-error", str, "skip", "fail: end at the first input that fails.", "skip|fail"),
    _option("max_failures", "--max-failures", str | None, None, "End when more inputs failed.", "N|P%"),
    _option("overwrite", "--overwrite", bool, False, "Start again, in place of what an earlier run left."),
    _option("dry_run", "--dry-run", bool, False, "Say what would be done, and write nothing."),
)

#: What every command has.
SPOKEN = (
    JobOption(name="json_", annotation=Json, default=False),
    JobOption(name="quiet", annotation=Quiet, default=False),
    JobOption(name="verbose", annotation=Verbose, default=False),
    JobOption(name="debug", annotation=Debug, default=False),
)

_WRITTEN: dict[str, dict[str, tuple[JobOption, ...]]] = {
    "encode": {"Latents": _LATENTS},
    "decode": {"Images": _IMAGES},
    "reconstruct": {"Images": (*_IMAGES, *_SIZES), "Scores": _SCORES},
    "denoise": {"Noise": _NOISE, "Images": (*_IMAGES, *_SIZES)},
}

# What comes with the package, where others take the newest that somebody trained.
_SHIPPED = JobOption(
    name="bundle",
    annotation=Annotated[
        str | None,
        typer.Option(
            "--bundle",
            "-b",
            help="A bundle's folder, or its name in artifacts/. Default: the denoisers that come with the package, one "
            "for colours, one for grey.",
        ),
    ],
)


def panels(job: str) -> dict[str, tuple[JobOption, ...]]:
    """The options of a job, by the heading that they are under in its help."""
    inputs = (_INCLUDE, _EXCLUDE) if job == "decode" else (_INCLUDE, _EXCLUDE, _LINKS, *_READING)
    return {
        "Inputs": inputs,
        **_WRITTEN[job],
        "Model": (_SHIPPED, *_GRAPH[1:]) if job == "denoise" else _GRAPH,
        "Speed": _SPEED,
        "Errors and earlier runs": _TROUBLE,
        _LAST: SPOKEN,
    }


def job_options(job: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command ``(**options)`` the arguments and options of a job."""
    metavar, text = ("LATENTS", _INPUT["decode"]) if job == "decode" else ("INPUT", _INPUT["encode"])
    source = Annotated[str, typer.Argument(metavar=metavar, help=text, rich_help_panel=_FIRST)]
    parameters = [
        inspect.Parameter("source", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=source),
        inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, annotation=_OUT),
    ]
    for panel, options in panels(job).items():
        for option in options:
            info = copy(option.info)
            info.rich_help_panel = panel
            annotation = option.annotation.__origin__
            parameters.append(
                inspect.Parameter(
                    option.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=option.default,
                    annotation=Annotated[annotation, info],
                )
            )

    def give(command: Callable[..., None]) -> Callable[..., None]:
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return give


class JobCommand(TyperCommand):
    """Plain help, its options under headings: Typer itself has those in its rich help only, which is slow to start."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or _LAST, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
