from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from tiny_bundle import write_tiny_bundle

from aedeploy.errors import ConfigError
from aedeploy.jobs.run import Summary

RunJob = Callable[..., Summary]
MakeImages = Callable[..., Path]


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found if ".aedeploy" not in path.parts)


def test_the_outputs_mirror_the_inputs_tree_as_png(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("a/b/1.jpg", "a/2.bmp", "3.png")
    summary = run("reconstruct")
    assert (summary.job, summary.ok, summary.output) == ("reconstruct", 3, str(tmp_path / "out"))
    assert files(tmp_path / "out") == ["3.png", "a/2.png", "a/b/1.png"]
    with Image.open(tmp_path / "out/a/b/1.png") as image:
        assert image.format == "PNG"
        assert np.abs(np.asarray(image).astype(int) - 10).max() <= 1


def test_colours_keep_their_order_and_images_their_size(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (30, 20), (200, 100, 50)).save(tmp_path / "in/a.png")
    bundle = write_tiny_bundle(tmp_path / "rgb", mode="RGB")
    run("reconstruct", bundle=bundle)
    run("reconstruct", bundle=bundle, out="small", size="model")
    with Image.open(tmp_path / "out/a.png") as image:
        assert image.size == (30, 20)
        assert np.abs(np.asarray(image).astype(int) - (200, 100, 50)).max() <= 1
    with Image.open(tmp_path / "small/a.png") as image:
        assert image.size == (8, 8)


def test_a_rotated_photograph_comes_out_upright(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    # Stored with its right half white: turned upright, that is the lower half.
    stored = Image.fromarray(np.repeat([[0] * 16 + [255] * 16], 16, axis=0).astype(np.uint8))
    stored.save(tmp_path / "in/a.png", exif=exif)
    run("reconstruct")
    with Image.open(tmp_path / "out/a.png") as image:
        assert image.size == (16, 32)
        pixels = np.asarray(image).astype(int)
        assert pixels[:8].max() < 60
        assert pixels[24:].min() > 200


def test_two_inputs_of_one_output_are_refused_before_anything_is_written(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("sub/a.jpg", "sub/a.png", "b.png")
    with pytest.raises(
        ConfigError, match=r"sub/a\.jpg and sub/a\.png would both be written to sub/a\.png: use --names"
    ):
        run("reconstruct")
    assert not (tmp_path / "out").exists()
    assert run("reconstruct", names="full").ok == 3
    assert files(tmp_path / "out") == ["b.png.png", "sub/a.jpg.png", "sub/a.png.png"]


@pytest.mark.parametrize("out", ["in", "in/results", "in/../in/a"])
def test_writing_into_the_input_is_refused(run: RunJob, make_images: MakeImages, out: str) -> None:
    root = make_images("a/1.png")
    with pytest.raises(ConfigError, match="is in the input folder"):
        run("reconstruct", out=out)
    assert files(root) == ["a/1.png"]


@pytest.mark.parametrize("job", ["reconstruct", "denoise"])
def test_above_the_input_no_output_may_land_in_it(
    run: RunJob, make_images: MakeImages, tmp_path: Path, job: str
) -> None:
    root = make_images("a.png", "in/a.png")
    before = (root / "a.png").read_bytes()
    with pytest.raises(ConfigError, match=r"would put outputs into .*in, where the inputs are"):
        run(job, out=".", overwrite=True, bundle=write_tiny_bundle(tmp_path / "d", denoising=True))
    assert (root / "a.png").read_bytes() == before
    assert files(root) == ["a.png", "in/a.png"]


def test_a_folder_above_the_input_is_fine_where_nothing_meets(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png", folder="w/photos")
    assert run("reconstruct", source="w/photos", out="w", overwrite=True).ok == 1
    assert files(tmp_path / "w") == ["a.png", "photos/a.png"]


def test_links_do_not_lead_to_the_inputs_either(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    root, elsewhere = make_images("a.png", "s/b.png"), make_images("a.png", folder="elsewhere")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/s").symlink_to(root)
    (root / "linked").symlink_to(elsewhere)
    before = (elsewhere / "a.png").read_bytes()
    for out in ("out", "elsewhere"):
        with pytest.raises(ConfigError, match="where the inputs are"):
            run("reconstruct", out=out, overwrite=True)
    assert files(root) == ["a.png", "s/b.png"]
    assert files(elsewhere) == ["a.png"]
    assert (elsewhere / "a.png").read_bytes() == before


def test_links_do_not_lead_to_the_inputs_of_a_list(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    root = make_images("s/a.png")
    (tmp_path / "list.txt").write_text(f"{root}/s/a.png\n")
    (tmp_path / "out/in").mkdir(parents=True)
    (tmp_path / "out/in/s").symlink_to(root / "s")
    before = (root / "s/a.png").read_bytes()
    with pytest.raises(ConfigError, match="where the inputs are"):
        run("reconstruct", source="list.txt", overwrite=True)
    assert (root / "s/a.png").read_bytes() == before


def test_a_link_to_the_input_is_the_input(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    root = make_images("a.png")
    (tmp_path / "elsewhere").symlink_to(root)
    with pytest.raises(ConfigError, match="is in the input folder"):
        run("reconstruct", out="elsewhere")


def test_beside_one_image_is_no_place_either(run: RunJob, make_images: MakeImages) -> None:
    make_images("a.jpg")
    with pytest.raises(ConfigError, match="is in the input folder"):
        run("reconstruct", source="in/a.jpg", out="in")
    # A folder of its own there is fine.
    assert run("reconstruct", source="in/a.jpg", out="in/results").ok == 1


def test_files_of_somebody_else_are_not_written_over(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("a.png")
    make_images("a.png", folder="out")
    before = (tmp_path / "out/a.png").read_bytes()
    with pytest.raises(ConfigError, match=r"holds files that no job wrote, such as a\.png"):
        run("reconstruct")
    assert (tmp_path / "out/a.png").read_bytes() == before


def test_an_output_that_is_a_file_is_refused(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("a.png")
    (tmp_path / "out").touch()
    with pytest.raises(ConfigError, match="is a file: name a folder"):
        run("reconstruct")


def test_what_is_done_is_skipped_and_what_is_gone_is_made_again(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    root = make_images("a.png", "b.png", "c.png")
    (root / "c.png").write_bytes(b"no image")
    assert run("reconstruct").failed == 1
    (tmp_path / "out/a.png").unlink()
    kept = (tmp_path / "out/b.png").stat().st_mtime_ns
    summary = run("reconstruct")
    assert (summary.ok, summary.skipped, summary.failed) == (1, 1, 1)
    assert (tmp_path / "out/b.png").stat().st_mtime_ns == kept


def test_starting_again_removes_what_the_earlier_run_wrote(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    root = make_images("a.png", "b.png")
    run("reconstruct")
    (root / "b.png").unlink()
    run("reconstruct", overwrite=True, names="full")
    assert files(tmp_path / "out") == ["a.png.png"]


def test_a_name_that_is_too_long_for_the_output_fails_alone(run: RunJob, make_images: MakeImages) -> None:
    make_images("a" * 250 + ".png", "b.png")
    assert run("reconstruct").ok == 2
    summary = run("reconstruct", out="full", names="full")
    assert (summary.ok, summary.failed) == (1, 1)
    assert "its output cannot be written: File name too long" in summary.failures[0].reason


def test_nan_from_the_model_fails_by_name(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    root = make_images("a.png", "b.png")
    Image.new("L", (8, 8), 255).save(root / "a.png")
    summary = run("reconstruct", bundle=write_tiny_bundle(tmp_path / "broken", broken_at_white=True))
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("a.png", "the model gave NaN or infinity")
    ]
    assert files(tmp_path / "out") == ["b.png"]


def test_leftovers_of_a_killed_run_are_removed(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("s/a.png", "s/b.png")
    run("reconstruct")
    (tmp_path / "out/s/b.png").unlink()
    scratch = tmp_path / "out/.aedeploy/partial-0-of-1"
    scratch.mkdir()
    (scratch / ".0011.aedeploy-partial").write_bytes(b"half")
    run("reconstruct")
    assert files(tmp_path / "out") == ["s/a.png", "s/b.png"]
    assert not scratch.exists()


def test_denoise_wants_a_model_that_was_trained_for_it(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("a.png")
    with pytest.raises(ConfigError, match="was not trained to remove noise: use reconstruct"):
        run("denoise")
    summary = run("denoise", bundle=write_tiny_bundle(tmp_path / "d", denoising=True))
    assert (summary.job, summary.ok) == ("denoise", 1)
    assert files(tmp_path / "out") == ["a.png"]
