"""How long the command line takes before it does anything, against the bare imports that it cannot do without."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from measure import at_most, interleave, process, ratio, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

COMMAND = Path(sys.executable).with_name("aedeploy")
ROUNDS = 15


def main() -> None:
    """Measure ``--help`` and the ``encode`` of one image, process included."""
    from PIL import Image
    from tiny_bundle import write_tiny_bundle

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiny_bundle(folder / "artifacts" / "tiny")
        (folder / "images").mkdir()
        Image.new("L", (8, 8), 100).save(folder / "images" / "grey.png")
        helping = ["--help"]
        encoding = ["encode", "images", "--out", "latents", "--overwrite", "--quiet"]
        without_torch = {" ".join(command): not imports_torch(command, folder) for command in (helping, encoding)}
        seconds = interleave(
            {
                "import typer, rich": process([sys.executable, "-c", "import typer, rich"], folder),
                "aedeploy --help": process([COMMAND, *helping], folder),
                "import onnxruntime, numpy, PIL, pyarrow": process(
                    [sys.executable, "-c", "import onnxruntime, numpy, PIL, pyarrow"], folder
                ),
                "aedeploy encode": process([COMMAND, *encoding], folder),
            },
            rounds=ROUNDS,
            warm_up=2,
        )
    targets = [
        at_most("--help against its imports", ratio(seconds, "aedeploy --help", "import typer, rich"), 2.5),
        at_most(
            "encode of one image against its imports",
            ratio(seconds, "aedeploy encode", "import onnxruntime, numpy, PIL, pyarrow"),
            3.0,
        ),
    ]
    report("startup", seconds, targets, without_torch=without_torch)


def imports_torch(arguments: list[str], folder: Path) -> bool:
    """Whether a command has imported torch by the time that it ends."""
    program = (
        "import sys\n"
        "from aedeploy.cli.app import main\n"
        "sys.argv[0] = 'aedeploy'\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "sys.stderr.write(f'torch={\"torch\" in sys.modules}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stderr.endswith("torch=True")


if __name__ == "__main__":
    main()
