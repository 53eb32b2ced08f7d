"""From opening the latent explorer to the first latent, beside the least that onnxruntime-web needs for the same.

    make demo embed-tools
    python benchmarks/explorer.py --rounds 9

Every load is a new browser, nothing cached. The baseline is a page that does nothing but open the encoder and run it
once on zeros: the engine's own start.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import at_most, ratio, report

from aedeploy.bundle.locate import find_bundle
from aedeploy.embed import write_program

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "embed"))

import web_browser

BARE = """<!doctype html><script type="module">
import * as ort from "./vendor/onnxruntime-web/ort.wasm.bundle.min.js";
ort.env.wasm.wasmPaths = { wasm: new URL("vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm", location.href).href };
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("model/encoder.onnx", { executionProviders: ["wasm"] });
const zeros = new ort.Tensor("float32", new Float32Array(SIZE), SHAPE);
await session.run({ image: zeros });
performance.mark("aedeploy:first-latent");
window.done = true;
</script>"""


# Told when the mark is set, or was: asking again and again would slow what is timed.
WAIT = """() => new Promise((done) => new PerformanceObserver((list) => {
    const [mark] = list.getEntriesByName("aedeploy:first-latent");
    if (mark) done(mark.startTime);
}).observe({ type: "mark", buffered: true }))"""


def main() -> None:
    """Write the page, untimed; open it and the baseline by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="artifacts/demo")
    parser.add_argument("--rounds", type=int, default=9, help="Loads of each page.")
    parser.add_argument("--quick", action="store_true", help="One round: to see that it runs.")
    arguments = parser.parse_args()
    missing = web_browser.missing()
    if missing:
        sys.exit(f"Not run: {missing}.")
    seconds: dict[str, list[float]] = {"the explorer": [], "the engine alone": []}
    with tempfile.TemporaryDirectory() as name:
        options = {"runtime": web_browser.RUNTIME}
        page = write_program("web", find_bundle(arguments.bundle), Path(name) / "page", options=options)
        image = page.program.contract["image"]
        shape = [1, image["channels"], image["height"], image["width"]]
        size = shape[1] * shape[2] * shape[3]
        (page.folder / "bare.html").write_text(BARE.replace("SIZE", str(size)).replace("SHAPE", str(shape)))
        with web_browser.serving(page.folder) as address, web_browser.browsers() as start:
            for done in range(1 + (1 if arguments.quick else arguments.rounds)):
                for what, path in (("the explorer", "/"), ("the engine alone", "/bare.html")):
                    taken = _load(start, address + path)
                    if done:  # the first fills the system's caches
                        seconds[what].append(taken)
    against = ratio(seconds, "the explorer", "the engine alone")
    median = statistics.median(seconds["the explorer"])
    report("explorer", seconds, [at_most("first latent, seconds", median, 1.0)], explorer_over_engine=round(against, 3))


def _load(start: Any, address: str) -> float:
    """Seconds from the start of navigation to the first latent, in a new browser."""
    browser = start()
    try:
        page = browser.new_page()
        page.goto(address)
        return float(page.evaluate(WAIT)) / 1000
    finally:
        browser.close()


if __name__ == "__main__":
    main()
