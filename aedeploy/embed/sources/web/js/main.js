/**
 * The page from its start: load what an image needs to be encoded, encode one, and prove the engine by the golden
 * vectors; where it cannot be proven, nothing is offered.
 */

import { contract } from "./contract.js";
import { bytesOf } from "./draw.js";
import { BACKEND_NAMES } from "./engine.js";
import { Explorer } from "./explorer.js";
import { canHash } from "./files.js";
import { begin, first, FIRST_GRAPHS, openGraphs, wantsWebgpu } from "./first.js";
import { Model } from "./model.js";
import { byId, complain, sentenceOf } from "./page.js";
import { mountPanels } from "./panels.js";
import { largestError, showChecking, showRefused, showResult } from "./panels/self-test.js";
import { mountBackends, mountTheme, say, showBackend } from "./panels/status.js";
import { readPicture, toModelSize } from "./picture.js";
import { toInput } from "./pixels.js";
import { firstFailure, goldenTensors, prove, provenEngine } from "./proof.js";

/** @import { Backend, Engine } from "./engine.js" */
/** @import { Proof } from "./proof.js" */

/** @type {Explorer | null} */
let explorer = null;

/** @type {Proof | null} */
let proof = null;

/** @returns {Promise<boolean>} whether the page works, and is proven */
async function start() {
  try {
    const webgpu = wantsWebgpu ? await startWebgpu() : null;
    const { engine, opened } = webgpu ?? first ?? begin();
    const model = new Model(contract, engine);
    explorer = new Explorer(model);
    explorer.addEventListener("encoded", () => performance.mark("aedeploy:first-latent"), { once: true });
    explorer.addEventListener("failure", (event) => complain(sentenceOf(/** @type {CustomEvent} */ (event).detail)));
    const panels = mountPanels(explorer);
    const samples = await readSamples();
    await opened;
    await panels.showFirst(samples);
    byId("work").dataset["state"] = "ready";
    if (proof === null) {
      await openGraphs(engine, contract.graphs.map(({ role }) => role).filter((role) => !FIRST_GRAPHS.includes(role)));
      proof = await prove(engine);
    }
    about(engine);
    if (!proof.passed) {
      throw new Error(`This page does not compute what the model computed: ${firstFailure(proof)}.`);
    }
    mountBackends(async (backend) => {
      const reason = await change(model, backend);
      panels.refresh();
      return reason;
    });
    await panels.showRest(samples);
    // Once more, for times that are not those of first calls.
    await explorer.refresh();
    return true;
  } catch (error) {
    refuse(sentenceOf(error));
    return false;
  }
}

/** An engine by WebGPU, proven; null where that is not to be had, which is said. */
async function startWebgpu() {
  const found = await provenEngine("webgpu");
  if ("reason" in found) {
    say(`WebAssembly runs instead of WebGPU: ${found.reason}.`);
    return null;
  }
  proof = found.proof;
  return { engine: found.engine, opened: Promise.resolve() };
}

/**
 * @param {Model} model
 * @param {Backend} backend
 * @returns {Promise<string | null>} why it stays as it was; null where it did not
 */
async function change(model, backend) {
  const found = await provenEngine(backend);
  if ("reason" in found) {
    showBackend(model.engine.backend);
    return `${BACKEND_NAMES[model.engine.backend]} goes on instead of ${BACKEND_NAMES[backend]}: ${found.reason}.`;
  }
  const before = model.engine;
  proof = found.proof;
  model.use(found.engine);
  await explorer?.refresh();
  await before.close();
  about(found.engine);
  return null;
}

/** @param {Engine} engine that runs the page, and whose proof is there */
function about(engine) {
  showBackend(engine.backend);
  if (proof !== null) {
    showResult(proof, `${engine.version}, ${BACKEND_NAMES[engine.backend]}`, canHash());
  }
  const { digest, recipe } = contract.bundle;
  byId("about").textContent = `${recipe} · bundle ${digest.slice(0, 12)} · ${contract.format} · ${engine.version}`;
}

/** @returns {Promise<Uint8Array[]>} height × width × channels each */
async function readSamples() {
  const tensors = await goldenTensors();
  const samples = tensors.get("samples");
  if (samples?.dtype === "uint8" && samples.data.length > 0) {
    const size = samples.data.length / samples.shape[0];
    return Array.from({ length: samples.shape[0] }, (_, at) => samples.data.subarray(at * size, (at + 1) * size));
  }
  // A bundle without samples has golden images at least.
  const image = contract.golden.cases.map(({ role, batch }) => tensors.get(`${role}/${batch}/image`)).find(Boolean);
  return image?.dtype === "float32" ? bytesOf(image.data, contract.image) : [];
}

/** @param {string} sentence why nothing is offered */
function refuse(sentence) {
  complain(`${sentence} Nothing is shown, since it could be wrong.`, true);
  showRefused(proof !== null);
  byId("work").dataset["state"] = "refused";
}

mountTheme();
document.title = `${contract.bundle.name} · latent explorer`;
byId("name").textContent = contract.bundle.name;
byId("summary").textContent = [contract.bundle.summary, contract.bundle.source].filter(Boolean).join(" · ");
showChecking("Checking the golden vectors …");
const ready = start();

/** For programs, and for tests: the page's own model, without the page. */
Object.assign(window, {
  aedeploy: {
    contract,
    ready,
    get explorer() {
      return explorer;
    },
    get backend() {
      return explorer?.model.engine.backend ?? null;
    },
    get selfTest() {
      return proof === null ? null : { ...proof, largestError: largestError(proof.checks) };
    },
    get timings() {
      const time = (/** @type {import("./contract.js").Role} */ role) => explorer?.model.time(role) ?? null;
      return { encoder: time("encoder"), decoder: time("decoder"), autoencoder: time("autoencoder") };
    },
    /** Any graph: tensors by name in, tensors by name out. */
    async run(/** @type {import("./contract.js").Role} */ role, /** @type {import("./tensors.js").Tensors} */ inputs) {
      return (await explorer?.model.engine.run(role, inputs))?.outputs;
    },
    /** An image file as the graphs take it: channels × height × width. */
    async pixelsOf(/** @type {Blob} */ blob) {
      const picture = await readPicture(blob, contract.image.mode);
      return toInput(toModelSize(picture, contract.image), contract.image.channels);
    },
    async encodeBlob(/** @type {Blob} */ blob, /** @type {number | undefined} */ sigma) {
      return this.encode(await this.pixelsOf(blob), sigma);
    },
    /** Height × width × channels bytes of an image, of any size. */
    async encodePixels(
      /** @type {Uint8Array} */ pixels,
      /** @type {number} */ width,
      /** @type {number} */ height,
      /** @type {number | undefined} */ sigma,
    ) {
      const image = toModelSize({ pixels, width, height }, contract.image);
      return this.encode(toInput(image, contract.image.channels), sigma);
    },
    encode: (/** @type {Float32Array} */ images, /** @type {number | undefined} */ sigma) =>
      explorer?.model.encode(images, sigma),
    decode: (/** @type {Float32Array} */ latents) => explorer?.model.decode(latents),
    reconstruct: (/** @type {Float32Array} */ images, /** @type {number | undefined} */ sigma) =>
      explorer?.model.reconstruct(images, sigma),
  },
});
