/** What comes out of the decoder, how near it is to the image, how long it took; and saving both ends. */

import { BACKEND_NAMES } from "../engine.js";
import { bytesOf, drawPixels, pngOf, psnr } from "../draw.js";
import { byId, complain, make, save, sentenceOf } from "../page.js";

/** @import { Explorer } from "../explorer.js" */

/** @param {Explorer} explorer */
export function mountOutput(explorer) {
  const { model } = explorer;
  const { contract } = model;
  const canvas = byId("output", HTMLCanvasElement);
  explorer.addEventListener("output", () => {
    if (explorer.output === null) {
      return;
    }
    drawPixels(canvas, bytesOf(explorer.output, contract.image)[0], contract.image);
    byId("output-title").textContent = titleOf(explorer);
    byId("output-detail").textContent = explorer.edited ? "of the latent as it is now" : "";
    byId("figures").replaceChildren(...figuresOf(explorer).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]));
  });
  byId("save-picture").addEventListener("click", async () => {
    try {
      save(`${contract.bundle.name}.png`, await pngOf(canvas));
    } catch (error) {
      complain(sentenceOf(error));
    }
  });
  const saveLatent = byId("save-latent");
  saveLatent.hidden = contract.latent === null;
  saveLatent.addEventListener("click", () => {
    save(`${contract.bundle.name}-latent.json`, new Blob([latentJson(explorer)], { type: "application/json" }));
  });
}

/**
 * The latent as it is now, as programs of the other targets print and read it.
 *
 * @param {Explorer} explorer
 * @returns {string}
 */
export function latentJson({ model, latent, encoded, edited, codes, codebook }) {
  const shape = model.contract.latent?.shape ?? [];
  /** @type {Record<string, unknown>} */
  const values = { latent: nested(latent, shape) };
  // The rest is the encoder's, of its own latent only.
  if (!edited && encoded?.logvar) {
    values["logvar"] = nested(encoded.logvar, shape);
  }
  if (codebook !== null && codes !== null && !edited) {
    values["indices"] = nested(codes, shape.slice(1));
  }
  return `${JSON.stringify(values)}\n`;
}

/**
 * @param {ArrayLike<number>} numbers
 * @param {number[]} shape
 * @returns {unknown[]}
 */
function nested(numbers, shape) {
  const [length = 0, ...rest] = shape;
  const size = numbers.length / length;
  return Array.from({ length }, (_, at) =>
    rest.length === 0 ? numbers[at] : nested(Array.prototype.slice.call(numbers, at * size, (at + 1) * size), rest),
  );
}

/**
 * @param {Explorer} explorer
 * @returns {string}
 */
function titleOf({ edited, sigma, model }) {
  if (edited) {
    return "Decoded";
  }
  return sigma > 0 && model.contract.denoises ? "Denoised" : "Reconstruction";
}

/**
 * @param {Explorer} explorer
 * @returns {[string, string][]} what, and how much
 */
function figuresOf({ model, clean, input, output, sigma }) {
  /** @type {[string, string][]} */
  const found = [];
  if (output !== null) {
    found.push(["PSNR", decibels(psnr(clean, output))]);
  }
  if (sigma > 0) {
    found.push(["noisy PSNR", decibels(psnr(clean, input))]);
  }
  for (const role of /** @type {const} */ (["encoder", "decoder", "autoencoder"])) {
    const time = model.time(role);
    if (time !== null) {
      found.push([role, `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`]);
    }
  }
  found.push(["runs on", `${BACKEND_NAMES[model.engine.backend]}, ${threads(model.engine)}`]);
  return found;
}

/** @param {import("../engine.js").Engine} engine */
function threads({ backend, threads: count }) {
  if (backend === "webgpu") {
    return "graphics card";
  }
  return count === 1 ? "1 thread" : `${count} threads`;
}

/** @param {number} value */
function decibels(value) {
  return value === Infinity ? "equal" : `${value.toFixed(1)} dB`;
}
