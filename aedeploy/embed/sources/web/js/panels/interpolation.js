/** From one latent to another, in a straight line. */

import { bytesOf, drawTiles } from "../draw.js";
import { announce, byId, complain, sentenceOf } from "../page.js";
import { takeFile } from "./input.js";

/** @import { Explorer } from "../explorer.js" */

/** Pictures on the strip of film. */
const STEPS = 9;

export class Interpolation {
  #explorer;
  #film = byId("film", HTMLCanvasElement);
  #slider = byId("between", HTMLInputElement);

  /** The ends. @type {Float32Array[]} */
  #ends = [];

  /** Whether the strip is to be drawn once more when it is drawn. */
  #stale = false;

  #drawing = false;

  /** @param {Explorer} explorer */
  constructor(explorer) {
    this.#explorer = explorer;
    byId("interpolation").hidden = false;
    this.#slider.addEventListener("input", () => {
      const share = Number(this.#slider.value);
      void explorer.setLatent(this.#between(share));
      this.#slider.setAttribute("aria-valuetext", `${Math.round(100 * share)} % of the way to B`);
    });
    for (const [end, id] of ["set-a", "set-b"].entries()) {
      const button = byId(id);
      button.addEventListener("click", () => {
        this.#set(end, explorer.latent);
        announce(`${end === 0 ? "A" : "B"} is what is in the latent now.`);
      });
      button.addEventListener("drop", (event) => {
        const dropped = event.dataTransfer?.files[0];
        if (dropped !== undefined) {
          event.preventDefault();
          void takeFile(explorer, dropped, (latent) => this.#set(end, latent));
        }
      });
    }
    byId("swap").addEventListener("click", () => {
      this.start(this.#ends[1], this.#ends[0]);
      this.#slider.value = String(1 - Number(this.#slider.value));
    });
  }

  /**
   * @param {Float32Array} a
   * @param {Float32Array} b
   */
  start(a, b) {
    this.#ends = [a.slice(), b.slice()];
    void this.#draw();
  }

  /**
   * Start with the first of several latents, and the one that is farthest from it.
   *
   * @param {Float32Array} latents one after the other
   */
  startFar(latents) {
    const { size } = this.#explorer.model;
    const first = latents.subarray(0, size);
    let [far, most] = [first, 0];
    for (let from = size; from < latents.length; from += size) {
      const other = latents.subarray(from, from + size);
      const distance = other.reduce((sum, value, at) => sum + (value - first[at]) ** 2, 0);
      [far, most] = distance > most ? [other, distance] : [far, most];
    }
    this.start(first, far);
  }

  /** Draw the strip again, by another engine. */
  refresh() {
    void this.#draw();
  }

  /**
   * @param {number} end
   * @param {Float32Array} latent
   */
  #set(end, latent) {
    this.#ends[end] = latent.slice();
    this.#slider.value = String(end);
    void this.#draw();
  }

  /**
   * @param {number} share of the way
   * @returns {Float32Array}
   */
  #between(share) {
    const [a, b] = this.#ends;
    return a.map((value, at) => value + share * (b[at] - value));
  }

  async #draw() {
    this.#stale = true;
    if (this.#drawing) {
      return;
    }
    this.#drawing = true;
    try {
      const { model } = this.#explorer;
      while (this.#stale) {
        this.#stale = false;
        const steps = new Float32Array(STEPS * model.size);
        for (let step = 0; step < STEPS; step += 1) {
          steps.set(this.#between(step / (STEPS - 1)), step * model.size);
        }
        drawTiles(this.#film, bytesOf(await model.decode(steps), model.contract.image), STEPS, model.contract.image);
      }
    } catch (error) {
      complain(sentenceOf(error));
    } finally {
      this.#drawing = false;
    }
  }
}
