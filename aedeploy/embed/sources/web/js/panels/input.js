/** The image that is encoded: chosen, dropped, pasted, or one of the bundle's samples; and noise on it. */

import { bytesOf, drawPixels } from "../draw.js";
import { freshSeed } from "../noise.js";
import { announce, byId, complain, figure, make, sentenceOf, stopComplaining } from "../page.js";
import { readPicture, toModelSize } from "../picture.js";
import { rovingGrid, stopAt } from "../roving.js";

/** @import { Explorer } from "../explorer.js" */

/** Noise that a model can be tried with that knows none. */
const USUAL_SIGMA = 0.5;

/**
 * @param {Explorer} explorer
 */
export function mountInput(explorer) {
  const { contract } = explorer.model;
  const canvas = byId("image", HTMLCanvasElement);
  explorer.addEventListener("image", () => {
    drawPixels(canvas, bytesOf(explorer.input, contract.image)[0], contract.image);
    byId("image-name").textContent = explorer.name;
  });
  mountNoise(explorer);
  const file = byId("file", HTMLInputElement);
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    if (chosen !== undefined) {
      void takeFile(explorer, chosen);
    }
    // So that the same file may be chosen again.
    file.value = "";
  });
  addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.files[0];
    if (pasted !== undefined) {
      event.preventDefault();
      void takeFile(explorer, pasted);
    }
  });
  mountDrop(explorer);
}

/**
 * Encode a file's image, or show what a file's latent is decoded to; a sentence where it is neither.
 *
 * @param {Explorer} explorer
 * @param {Blob & { name?: string }} file
 * @param {(latent: Float32Array) => void} [take] what to do with the latent, if not that
 */
export async function takeFile(explorer, file, take) {
  const name = file.name || "pasted image";
  try {
    if (file.type === "application/json" || name.endsWith(".json")) {
      const latent = latentOf(await file.text(), explorer.model.size);
      stopComplaining();
      await (take ? take(latent) : explorer.setLatent(latent));
      return;
    }
    const picture = await readPicture(file, explorer.model.contract.image.mode);
    const pixels = toModelSize(picture, explorer.model.contract.image);
    stopComplaining();
    if (picture.note !== null) {
      complain(picture.note);
    }
    await explorer.setImage(name, pixels);
    take?.(explorer.latent);
    announce(`${name}, ${picture.width} by ${picture.height} pixels, is encoded.`);
  } catch (error) {
    complain(`${name}: ${sentenceOf(error)}`);
  }
}

/**
 * @param {string} text what Save latent wrote, or `encode` of another program
 * @param {number} size
 * @returns {Float32Array}
 */
function latentOf(text, size) {
  /** @type {unknown} */
  let values;
  try {
    values = JSON.parse(text).latent;
  } catch {
    throw new Error("It is not a latent: JSON with an entry “latent” is expected.");
  }
  const numbers = Array.isArray(values) ? values.flat(Infinity) : [];
  if (size === 0 || numbers.length !== size || !numbers.every(Number.isFinite)) {
    throw new Error(`It is not a latent of this model, which has ${size || "no"} numbers.`);
  }
  return Float32Array.from(numbers);
}

/**
 * @param {Explorer} explorer
 * @param {Uint8Array[]} samples height × width × channels each, of the model's size
 */
export function mountGallery(explorer, samples) {
  const gallery = byId("gallery");
  const { image } = explorer.model.contract;
  const cells = samples.map((pixels, at) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    drawPixels(canvas, pixels, image);
    return make("button", { type: "button", "data-cell": String(at), "aria-label": `Sample ${at + 1}` }, canvas);
  });
  gallery.replaceChildren(...cells);
  stopAt(cells, cells[0]);
  rovingGrid(gallery, (cell) => {
    const at = Number(cell.dataset["cell"]);
    stopComplaining();
    void explorer.setImage(`sample ${at + 1}`, samples[at]);
  });
  explorer.addEventListener("image", () => {
    for (const [at, cell] of cells.entries()) {
      cell.setAttribute("aria-pressed", String(explorer.name === `sample ${at + 1}`));
    }
  });
}

/** @param {Explorer} explorer */
function mountNoise(explorer) {
  const { denoises, noise, noise_sigma: sigma } = explorer.model.contract;
  const slider = byId("noise", HTMLInputElement);
  const again = byId("noise-again", HTMLButtonElement);
  slider.max = String(noise === null ? Math.max(sigma ?? 0, USUAL_SIGMA) : noise.maximum / 255);
  byId("noise-about").textContent = denoises
    ? `Gaussian noise, and what the model, trained to remove ${sigma === null ? "another kind" : `up to ${sigma} of it`}, makes of it.`
    : "Gaussian noise. This model was not trained to remove it: what comes out is its reconstruction of a noisy image.";
  slider.addEventListener("input", () => void explorer.setNoise(Number(slider.value), explorer.seed));
  again.addEventListener("click", () => void explorer.setNoise(explorer.sigma, freshSeed()));
  explorer.addEventListener("image", () => {
    slider.value = String(explorer.sigma);
    byId("noise-value").textContent = figure(explorer.sigma);
    again.disabled = explorer.sigma === 0;
  });
}

/** @param {Explorer} explorer */
function mountDrop(explorer) {
  const overlay = byId("drop");
  const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") === true;
  // Every element that is entered gives an event, and every one that is left: outside is where they are even.
  let depth = 0;
  const show = (/** @type {number} */ next) => {
    depth = next;
    overlay.hidden = depth <= 0;
  };
  addEventListener("dragenter", (event) => carriesFiles(event) && show(depth + 1));
  addEventListener("dragleave", (event) => carriesFiles(event) && show(depth - 1));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    show(0);
    const dropped = event.dataTransfer?.files[0];
    if (!carriesFiles(event) || event.defaultPrevented) {
      return;
    }
    event.preventDefault();
    if (dropped !== undefined) {
      void takeFile(explorer, dropped);
    }
  });
}
