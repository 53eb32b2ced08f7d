"""From a bundle and its drawings to what is on the page, part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from aedeploy import __version__
from aedeploy.bundle import Bundle, Manifest
from aedeploy.bundle.card import card, kept_in
from aedeploy.bundle.store import CARD_FILE
from aedeploy.pictures import Subject
from aedeploy.report.drawings import TRAINING, Drawing, NotDrawn
from aedeploy.report.graphs import graphs_table, overall
from aedeploy.report.measured import denoising_parts, speed_parts
from aedeploy.report.page import Code, Facts, Figure, Missing, Page, Part, Prose, Section
from aedeploy.report.parity import parity_parts
from aedeploy.report.paths import Paths, word_for
from aedeploy.report.sizes import files_table, size_facts
from aedeploy.report.tables import Note
from aedeploy.report.written import Block, blocks, sections

# Characters of what somebody wrote that are shown at once.
_LONG = 1500


def contents(
    subject: Subject, drawn: Sequence[Drawing], not_drawn: Sequence[NotDrawn], about: Sequence[str], paths: Paths
) -> Page:
    """Everything, in the order in which it is read. ``about``: sentences on the images that the pictures are of."""
    bundle = subject.bundle
    manifest, recipe = bundle.manifest, bundle.manifest.recipe
    said = sections(card(manifest))
    every = [
        _written(bundle),
        _contract(bundle, said),
        Section(
            id="size",
            title="Size",
            reading="What has to be carried: every file is listed with the beginning of its digest, and nothing else "
            "is needed to run the model.",
            parts=(Facts(pairs=size_facts(bundle, subject)), files_table(bundle)),
        ),
        _measured(said),
        _training(drawn, not_drawn),
        Section(
            id="parity",
            title="Parity with PyTorch",
            reading="Each exported graph was fed the same inputs as the model in PyTorch: its largest error must not "
            "be above the tolerance, and one that failed is not run. These are the figures of the last run; the "
            "verdict above is the manifest’s.",
            parts=parity_parts(bundle, paths),
        ),
        Section(
            id="speed",
            title="Speed",
            reading="How much each exported variant does on the machine that it was measured on: longer bars are "
            "faster, and what fails parity is fast for nothing.",
            parts=speed_parts(bundle, paths),
        ),
        _denoising(bundle, paths),
        _pictures(bundle, drawn, about),
        _missing(not_drawn),
        _origin(manifest, said),
    ]
    return Page(
        name=manifest.name,
        summary=str(recipe.get("summary") or "An autoencoder"),
        source=str(recipe.get("source") or ""),
        verdict=overall(manifest),
        facts=_head(manifest),
        sections=tuple(section for section in every if section is not None),
        version=__version__,
    )


def _head(manifest: Manifest) -> Mapping[str, str]:
    data = manifest.provenance.data
    facts = {"recipe": str(manifest.recipe.get("name", "?")), "written": _date(manifest.provenance.created)}
    if data is not None:
        facts["trained on"] = f"{data.train:,} images of {data.name}, {data.held_out:,} held out"
    facts["formats"] = ", ".join(dict.fromkeys(graph.variant for graph in manifest.graphs)) or "none exported"
    return facts


def _date(created: str) -> str:
    """To the minute, where it is the date that it should be."""
    try:
        return datetime.fromisoformat(created).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return created


def _written(bundle: Bundle) -> Section | None:
    """What somebody wrote into the card between its two lines."""
    path = bundle.path / CARD_FILE
    kept = kept_in(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else ""
    if not kept:
        return None
    return Section(
        id="card",
        title="What its maker says",
        reading="Written by a person into the model card; everything else on this page is from files that programs "
        "wrote.",
        parts=tuple(_folded(blocks(kept))),
    )


def _folded(every: tuple[Block, ...]) -> Iterator[Prose]:
    """What is long is folded from a heading on: it must not stand between a reader and the rest of the page."""
    length = 0
    for at, block in enumerate(every):
        if length > _LONG and block.kind == "heading":
            yield Prose(blocks=every[:at])
            yield Prose(blocks=every[at:], label="The rest of it")
            return
        length += block.length
    yield Prose(blocks=every)


def _contract(bundle: Bundle, said: Mapping[str, str]) -> Section:
    manifest = bundle.manifest
    parts: list[Part] = [Prose(blocks=blocks(said["What it takes and gives"]))]
    if manifest.graphs:
        parts.append(graphs_table(manifest))
    else:
        parts.append(Note(text=f"No graph has been exported: run `aedeploy export {word_for(bundle)} --format onnx`."))
    parts.append(Prose(blocks=blocks(said["How to call it"]), label="How to call it"))
    return Section(
        id="contract",
        title="What it takes and gives",
        reading="Whatever runs a graph must give it tensors of these names, types and shapes, and gets those back; a "
        "word in a shape is a size that is free, and equal words are equal sizes.",
        parts=tuple(parts),
    )


def _measured(said: Mapping[str, str]) -> Section | None:
    found = said.get("What was measured")
    if found is None:
        return None
    return Section(
        id="measured",
        title="What was measured",
        reading="Of a loss and an error less is better, of PSNR more: 3 dB are half the squared error.",
        parts=(Prose(blocks=blocks(found)),),
    )


def _training(drawn: Sequence[Drawing], not_drawn: Sequence[NotDrawn]) -> Section | None:
    parts: list[Part] = [Figure(drawing=one, heading=False) for one in drawn if one.kind == TRAINING]
    parts += [Note(text=one.reason) for one in not_drawn if one.kind == TRAINING]
    if not parts:
        return None
    return Section(
        id="training",
        title="Training",
        reading="Every part of the loss by epoch, on the images that were trained on and on those held out, and the "
        "learning rate.",
        parts=tuple(parts),
    )


def _denoising(bundle: Bundle, paths: Paths) -> Section | None:
    parts = denoising_parts(bundle, paths)
    if not parts:
        return None
    return Section(
        id="denoising",
        title="Noise removed, beside other methods",
        reading="At each σ, the method of the highest PSNR leaves the least of the noise; SSIM, up to 1, says how much "
        "of the structure is back.",
        parts=parts,
    )


def _pictures(bundle: Bundle, drawn: Sequence[Drawing], about: Sequence[str]) -> Section:
    parts: list[Part] = [Note(text=sentence) for sentence in about]
    if not bundle.manifest.graphs:
        name = word_for(bundle)
        said = f"Pictures are drawn by exported graphs, and there are none: run `aedeploy export {name} --format onnx` "
        said += (
            f"and then `aedeploy report {name}`, or draw by the weights, with `aedeploy report {name} --backend eager`."
        )
        parts.append(Note(text=said))
    parts += [Figure(drawing=one) for one in drawn if one.kind != TRAINING]
    return Section(
        id="pictures",
        title="Pictures",
        reading="What the model has learned, drawn from its exported graphs; the sentence above each picture says how "
        "to read it.",
        parts=tuple(parts),
    )


def _missing(not_drawn: Sequence[NotDrawn]) -> Section | None:
    # What is said of the training is said where its curves would be.
    others = [one for one in not_drawn if one.kind != TRAINING]
    if not others:
        return None
    reasons: dict[str, list[str]] = {}
    for one in others:
        reasons.setdefault(one.reason, []).append(one.kind)
    return Section(
        id="not-drawn",
        title="Not drawn, and why",
        reading="Most of these pictures have no meaning for a model of this kind; the others need what is not here.",
        parts=(Missing(reasons={reason: tuple(kinds) for reason, kinds in reasons.items()}),),
    )


def _origin(manifest: Manifest, said: Mapping[str, str]) -> Section:
    return Section(
        id="origin",
        title="Where it comes from",
        reading="Enough to make it again: the same recipe on the same data with the same seed and packages.",
        parts=tuple(_origins(manifest, said)),
    )


def _origins(manifest: Manifest, said: Mapping[str, str]) -> Iterator[Part]:
    yield Prose(blocks=blocks(said["Where it comes from"]))
    data = manifest.provenance.data
    yield Facts(
        pairs={
            "digest of the model": manifest.digest,
            **({"digest of the data": data.digest} if data is not None else {}),
        }
    )
    yield Code(label="The recipe, in full", text=json.dumps(manifest.recipe, indent=2, ensure_ascii=False))
