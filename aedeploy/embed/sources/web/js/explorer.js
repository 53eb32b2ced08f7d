/**
 * What the page is about, without the page: an image and its noise, what the encoder makes of it, the latent as it was
 * changed, and what comes out. Whatever changes, the last change wins: nothing queues.
 */

import { gaussian } from "./noise.js";
import { toInput } from "./pixels.js";

/** @import { Codebook } from "./codebook.js" */
/** @import { Encoded, Model } from "./model.js" */

/**
 * Events: `image` (another image, or other noise), `encoded` (the latent is that of the image), `latent` (it changed,
 * also then), `output` (another picture came out), `failure` (a CustomEvent, its detail is the Error).
 */
export class Explorer extends EventTarget {
  /** @type {Model} */
  model;

  /** @type {Codebook | null} */
  codebook = null;

  /** What the image is called. */
  name = "";

  /** @type {Float32Array} the image without noise */
  clean;

  /** @type {Float32Array} the image with its noise, as it is encoded */
  input;

  /** The standard deviation of the noise, where 1 is white. */
  sigma = 0;

  seed = 1;

  /** @type {Encoded | null} what the encoder made of the image */
  encoded = null;

  /** @type {Float32Array} as it is now */
  latent;

  /** @type {Int32Array | null} the code of each place of the latent as it is now, or the nearest one */
  codes = null;

  /** Whether the latent is another one than the encoder's. */
  edited = false;

  /** @type {Float32Array | null} */
  output = null;

  /** @type {"nothing" | "decode" | "encode"} what is to be done again */
  #stale = "nothing";

  /** @type {Promise<void> | null} */
  #working = null;

  /** @param {Model} model */
  constructor(model) {
    super();
    this.model = model;
    this.clean = new Float32Array(model.pixels);
    this.input = this.clean;
    this.latent = new Float32Array(model.size);
  }

  /**
   * @param {string} name
   * @param {Uint8Array} pixels height × width × channels, of the model's size
   */
  setImage(name, pixels) {
    this.name = name;
    this.clean = toInput(pixels, this.model.contract.image.channels);
    return this.#inputChanged();
  }

  /**
   * @param {number} sigma
   * @param {number} seed
   */
  setNoise(sigma, seed) {
    [this.sigma, this.seed] = [sigma, seed];
    return this.#inputChanged();
  }

  /**
   * @param {Float32Array} latent
   * @param {ArrayLike<number>} [codes] of its places, where they are known
   */
  setLatent(latent, codes) {
    this.latent = Float32Array.from(latent);
    this.codes = codes === undefined ? (this.codebook?.allNearest(this.latent) ?? null) : Int32Array.from(codes);
    return this.#latentChanged(true);
  }

  /**
   * @param {number} at
   * @param {number} value
   */
  setNumber(at, value) {
    this.latent[at] = value;
    if (this.codebook === null) {
      this.codes = null;
    } else if (this.codes !== null) {
      const place = at % this.codebook.places;
      this.codes[place] = this.codebook.nearest(this.latent, place);
    }
    return this.#latentChanged(true);
  }

  /**
   * @param {number} place
   * @param {number} code
   */
  setCode(place, code) {
    if (this.codebook === null || this.codes === null) {
      return Promise.resolve();
    }
    this.codebook.put(this.latent, place, code);
    this.codes[place] = code;
    return this.#latentChanged(true);
  }

  /** Go back to what the encoder made of the image. */
  reset() {
    if (this.encoded === null) {
      return Promise.resolve();
    }
    this.latent = this.encoded.latent.slice();
    this.codes = this.encoded.indices?.slice() ?? null;
    return this.#latentChanged(false);
  }

  /** Settled when what comes out is that of the latent as it is. */
  settled() {
    return this.#working ?? Promise.resolve();
  }

  /** Do again what is seen, by another engine. */
  refresh() {
    return this.#work(this.edited ? "decode" : "encode");
  }

  /** What the model is told of the noise: as much as was added here, as far as it goes; undefined: nothing. */
  #told() {
    const { noise } = this.model.contract;
    return noise === null ? undefined : Math.min(this.sigma * 255, noise.maximum);
  }

  #inputChanged() {
    const { sigma } = this;
    // Not clipped, as it was not in training: that would tell where the noise went beyond black and white.
    const noise = sigma > 0 ? gaussian(this.clean.length, this.seed) : null;
    this.input = noise === null ? this.clean : this.clean.map((value, at) => value + sigma * noise[at]);
    this.dispatchEvent(new Event("image"));
    return this.#work("encode");
  }

  /** @param {boolean} edited */
  #latentChanged(edited) {
    this.edited = edited;
    this.dispatchEvent(new Event("latent"));
    return this.#work("decode");
  }

  /**
   * @param {"decode" | "encode"} what
   * @returns {Promise<void>} settled when nothing is stale any more
   */
  #work(what) {
    this.#stale = this.#stale === "encode" ? "encode" : what;
    this.#working ??= this.#untilFresh().finally(() => (this.#working = null));
    return this.#working;
  }

  async #untilFresh() {
    try {
      while (this.#stale !== "nothing") {
        await frame();
        const stale = this.#stale;
        this.#stale = "nothing";
        if (this.model.size === 0) {
          this.output = await this.model.reconstruct(this.input, this.#told());
        } else {
          if (stale === "encode") {
            await this.#encode();
          }
          this.output = await this.model.decode(this.latent.slice());
        }
        this.dispatchEvent(new Event("output"));
      }
    } catch (error) {
      this.#stale = "nothing";
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
    }
  }

  async #encode() {
    this.encoded = await this.model.encode(this.input, this.#told());
    // Not where somebody changed the latent meanwhile: the last change wins.
    if (this.#stale !== "decode") {
      this.latent = this.encoded.latent.slice();
      this.codes = this.encoded.indices?.slice() ?? null;
      this.edited = false;
    }
    this.dispatchEvent(new Event("encoded"));
    this.dispatchEvent(new Event("latent"));
  }
}

/** The next moment to draw at; in a tab that is not seen, which draws nothing, soon. */
function frame() {
  return new Promise((resolve) => {
    if (document.hidden) {
      setTimeout(resolve);
    } else {
      requestAnimationFrame(resolve);
    }
  });
}
