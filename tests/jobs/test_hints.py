from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.jobs.hints import Header, first_headers, geometry_of, is_resized, scaled_hint
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.spec import Origin

PlanJob = Callable[..., Plan]


@pytest.fixture
def plan(bundle: Bundle, tmp_path: Path) -> PlanJob:
    def plan(job: str = "encode", source: str = "in", **options: Any) -> Plan:
        return plan_job(
            JobRequest(
                job=job,  # type: ignore[arg-type]
                source=tmp_path / source,
                output=tmp_path / "out",
                **{"bundle": bundle, **options},
            )
        )

    return plan


@pytest.mark.parametrize(
    ("job", "options", "sentence"),
    [
        ("encode", {}, "each image is resized to 8×8"),
        ("encode", {"resize": "fit"}, "each image is fitted into 8×8 on black"),
        ("reconstruct", {}, "each image is resized to 8×8 and back"),
        ("reconstruct", {"size": "model"}, "each image is resized to 8×8"),
        (
            "reconstruct",
            {"resize": "crop"},
            "each image is cut to the shape of 8×8 and resized to that, and brought back without what was cut off",
        ),
    ],
)
def test_what_happens_to_the_geometry(
    plan: PlanJob, make_images: Callable[..., Path], job: str, options: dict[str, Any], sentence: str
) -> None:
    make_images("a.png")
    assert geometry_of(plan(job, **options)) == sentence


def test_a_fully_convolutional_model_takes_each_image_as_it_is(plan: PlanJob, make_images: Callable[..., Path]) -> None:
    make_images("a.png")
    planned = plan("reconstruct")
    planned.settings = replace(planned.settings, any_size=True, tile=512)
    assert geometry_of(planned) == "each image goes through at its own size, in tiles above 512 pixels a side"
    planned.settings = replace(planned.settings, tile=None)
    assert geometry_of(planned) == "each image goes through at its own size, in tiles where it does not fit into memory"
    assert not is_resized(planned, None)


def test_an_image_of_the_models_size_is_not_resized(plan: PlanJob, make_images: Callable[..., Path]) -> None:
    folder = make_images("a.png", "b.png")
    planned = plan()
    assert not is_resized(planned, first_headers(planned))
    Image.new("L", (9, 8)).save(folder / "c.png")
    planned = plan()
    assert is_resized(planned, first_headers(planned))
    assert is_resized(planned, None)


def test_a_few_headers_from_all_over_the_first_inputs(plan: PlanJob, make_images: Callable[..., Path]) -> None:
    folder = make_images(*(f"{number:02d}.png" for number in range(40)))
    (folder / "05.png").write_bytes(b"no image")
    headers = first_headers(plan())
    assert headers is not None
    assert [Path(str(header.file)).name for header in headers] == [
        "00.png",
        *(f"{number}.png" for number in range(10, 40, 5)),
    ]
    assert headers[0] == Header(file=folder / "00.png", size=(8, 8), is_jpeg=False)


@pytest.mark.parametrize("name", ["in.tar", "in.tar.gz", "in.zip"])
def test_archives_are_looked_into(plan: PlanJob, make_images: Callable[..., Path], tmp_path: Path, name: str) -> None:
    folder = make_images("a.png", "b.png")
    (folder / "b.png").write_bytes(b"no image")
    kind = {"in.tar": "tar", "in.tar.gz": "gztar", "in.zip": "zip"}[name]
    shutil.make_archive(str(tmp_path / "in"), kind, folder)
    content = (folder / "a.png").read_bytes()
    planned = plan(source=name)
    assert first_headers(planned) == [Header(file=content, size=(8, 8), is_jpeg=False)]
    assert not is_resized(planned, first_headers(planned))


def test_what_would_have_to_be_fetched_is_not_looked_at(plan: PlanJob, make_images: Callable[..., Path]) -> None:
    make_images("a.png")
    planned = plan()
    planned.settings = replace(planned.settings, origin=Origin(kind="remote", location="memory://none"))
    assert first_headers(planned) is None


class TestScaled:
    @pytest.fixture(autouse=True)
    def _whatever_it_gains(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a busy machine what is measured may be anything."""
        monkeypatch.setattr("aedeploy.jobs.hints._WORTH_SAYING", 0.0)

    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        folder = tmp_path / "in"
        folder.mkdir()
        Image.effect_noise((1200, 900), 60).save(folder / "a.jpg")
        return folder

    def hint(self, planned: Plan) -> str | None:
        return scaled_hint(planned, first_headers(planned))

    def test_is_hinted_at_where_jpegs_are_much_larger_than_the_model(self, plan: PlanJob, photos: Path) -> None:
        hint = self.hint(plan())
        assert hint is not None
        assert "the model's 8×8: --decode scaled reads them " in hint

    def test_is_also_in_an_archive(self, plan: PlanJob, photos: Path, tmp_path: Path) -> None:
        shutil.make_archive(str(tmp_path / "in"), "tar", photos)
        hint = self.hint(plan(source="in.tar"))
        assert hint is not None
        assert "--decode scaled" in hint

    def test_is_not_where_it_is_asked_for_or_would_do_nothing(
        self, plan: PlanJob, photos: Path, tmp_path: Path
    ) -> None:
        assert self.hint(plan(decode="scaled")) is None
        assert self.hint(plan(bundle=write_tiny_bundle(tmp_path / "large", size=300))) is None
        Image.open(photos / "a.jpg").save(photos / "a.png")
        (photos / "a.jpg").unlink()
        assert self.hint(plan()) is None

    def test_is_not_where_the_job_was_begun_otherwise(self, plan: PlanJob, photos: Path, run: Any) -> None:
        run("encode")
        assert self.hint(plan()) is None
        assert self.hint(plan(overwrite=True)) is not None

    def test_is_not_measured_on_an_image_that_the_job_refuses(self, plan: PlanJob, photos: Path) -> None:
        assert self.hint(plan(max_pixels=1000)) is None
