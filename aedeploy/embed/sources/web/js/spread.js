/** What latents look like over a set of images: how far each number goes, and new ones that are like them. */

import { gaussian, uniform } from "./noise.js";

/** @import { Codebook } from "./codebook.js" */
/** @import { LatentContract } from "./contract.js" */
/** @import { Encoded } from "./model.js" */

/** Of each number of a latent; of a spatial one, of its channels, over all places together. */
export class Spread {
  #masked;

  /** @type {Encoded} */
  #samples;

  /** How many numbers a channel has; 1 of a vector. */
  #places;

  #low;
  #high;
  #mean;
  #deviation;

  /**
   * @param {LatentContract} latent
   * @param {Encoded} samples
   */
  constructor(latent, samples) {
    const [channels = 1, ...rest] = latent.shape;
    this.#masked = latent.masked;
    this.#samples = samples;
    this.#places = rest.reduce((product, length) => product * length, 1);
    this.#low = new Float64Array(channels).fill(Infinity);
    this.#high = new Float64Array(channels).fill(-Infinity);
    this.#mean = new Float64Array(channels);
    const squares = new Float64Array(channels);
    const count = samples.latent.length / channels;
    samples.latent.forEach((value, at) => {
      const channel = Math.floor(at / this.#places) % channels;
      this.#low[channel] = Math.min(this.#low[channel], value);
      this.#high[channel] = Math.max(this.#high[channel], value);
      this.#mean[channel] += value / count;
      squares[channel] += (value * value) / count;
    });
    this.#deviation = squares.map((square, channel) => Math.sqrt(Math.max(square - this.#mean[channel] ** 2, 0)));
  }

  /** Numbers of one latent. */
  get size() {
    return this.#low.length * this.#places;
  }

  /**
   * @param {number} at which number of the latent
   * @returns {[number, number]} its least and its largest
   */
  range(at) {
    const channel = Math.floor(at / this.#places);
    return [this.#low[channel], this.#high[channel]];
  }

  /**
   * @param {number} at which number of the latent
   * @returns {number} its standard deviation
   */
  deviation(at) {
    return this.#deviation[Math.floor(at / this.#places)];
  }

  /**
   * A latent like those of the images: each number by its mean and deviation, within its range. A masked one has the
   * entries of one of the images, larger or smaller; where there are codes, each place has that of one of the images.
   *
   * @param {number} seed
   * @param {Codebook | null} codebook
   * @returns {Float32Array}
   */
  random(seed, codebook) {
    const { latent, indices } = this.#samples;
    const draw = uniform(seed);
    const anyImage = () => Math.floor((draw() * latent.length) / this.size);
    if (codebook !== null && indices !== null) {
      const { places } = codebook;
      return codebook.latent(Array.from({ length: places }, (_, place) => indices[anyImage() * places + place]));
    }
    const kept = anyImage() * this.size;
    return gaussian(this.size, seed).map((normal, at) => {
      const [low, high] = this.range(at);
      const mean = this.#mean[Math.floor(at / this.#places)];
      const drawn = this.#masked ? latent[kept + at] * 2 ** (normal / 2) : mean + this.deviation(at) * normal;
      return Math.min(Math.max(drawn, low), high);
    });
  }
}
