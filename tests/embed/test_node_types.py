"""The Node program's types: strict, those of its code, and what another program in TypeScript sees."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from embed.node_programs import NODE_MODULES, evaluate, require_node, write_node_program

from aedeploy.bundle import Bundle
from aedeploy.embed.contract import contract_of


@pytest.fixture(scope="module")
def program(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_node_program(bundles["conv"], tmp_path_factory.mktemp("node") / "program")


def tsc(folder: Path, *arguments: str) -> None:
    require_node("typescript", "@types/node")
    command = [NODE_MODULES / ".bin" / "tsc", *arguments]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_strict_types_of_its_code(program: Path) -> None:
    tsc(program, "--project", ".")
    # The declarations too, which need those of the browser: onnxruntime's name them.
    tsc(program, "--project", ".", "--skipLibCheck", "false", "--lib", "es2023,dom")


def test_the_types_that_another_program_sees(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """They are strict, they are those of the code, and the contract has the type that it says."""
    bundle = bundles["conv"]
    graphs = tuple(graph for graph in bundle.manifest.graphs if graph.format == "onnx")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "autoencoder").symlink_to(program)
    (tmp_path / "user.ts").write_text(f"""
        import {{ Autoencoder, type Contract, type FloatTensor, contract, readImage, writeImage }} from "autoencoder";
        import * as code from {json.dumps(str(program / "index.js"))};

        const model = await Autoencoder.open(undefined, ["encoder", "decoder"]);
        const {{ latent, indices }} = await model.encode(await readImage("photo.jpg"));
        const image: FloatTensor = await model.decode(latent);
        await writeImage(image, "decoded.png");
        const places: bigint | undefined = indices?.data[0];
        const channels: number = contract.image.channels;
        const written: Contract = {json.dumps(contract_of(bundle, graphs))};
        // @ts-expect-error An image is not a path.
        await model.encode("photo.jpg");
        // @ts-expect-error It is opened, not constructed.
        new Autoencoder(new Map());
        // @ts-expect-error There is no such role.
        await Autoencoder.open(undefined, ["painter"]);
        console.log(places, channels, written, code);
    """)
    (tmp_path / "agree.ts").write_text(f"""
        import * as declared from "autoencoder";
        import * as code from {json.dumps(str(program / "autoencoder.js"))};
        import * as files from {json.dumps(str(program / "image-file.js"))};

        type Methods = "encode" | "decode" | "reconstruct" | "run";
        type Declared = Pick<declared.Autoencoder, Methods> & {{ open: Parameters<typeof declared.Autoencoder.open> }};
        type Coded = Pick<code.Autoencoder, Methods> & {{ open: Parameters<typeof code.Autoencoder.open> }};
        type Files = Pick<typeof declared, "readImage" | "writeImage">;
        export const there = (value: Declared): Coded => value;
        export const back = (value: Coded): Declared => value;
        export const filesThere = (value: Files): Pick<typeof files, keyof Files> => value;
        export const filesBack = (value: Pick<typeof files, keyof Files>): Files => value;
    """)
    strict = ["--strict", "--noEmit", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "--types", "node"]
    strict += [
        "--typeRoots",
        str(NODE_MODULES / "@types"),
        "--exactOptionalPropertyTypes",
        "--noUncheckedIndexedAccess",
    ]
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tsc(tmp_path, *strict, "user.ts")
    tsc(tmp_path, *strict, "--allowJs", "agree.ts")
    ran = subprocess.run(
        ["node", "--eval", 'import("autoencoder").then((it) => console.log(Object.keys(it).sort().join()))'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == "Autoencoder,contract,readImage,writeImage", ran.stderr


def test_what_it_is_made_of(program: Path, bundles: dict[str, Bundle]) -> None:
    graphs = tuple(bundles["conv"].graph(role, "onnx") for role in ("encoder", "decoder", "autoencoder"))
    wanted = contract_of(bundles["conv"], graphs)
    assert (
        evaluate(program, 'import { contract } from "./contract.js"; console.log(JSON.stringify(contract));') == wanted
    )
    package = json.loads((program / "package.json").read_text())
    tested = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert tested[name] == version
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    readme = (program / "README.md").read_text()
    for path in program.glob("*.*s"):
        assert f"`{path.name}`" in readme, path.name
    assert not re.search(r"@[A-Z]+@", readme)
