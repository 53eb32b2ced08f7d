/** The model: images to latents, latents to images, whatever engine runs its graphs. */

import { imageInputs } from "./told.js";

/** @import { Contract, Role } from "./contract.js" */
/** @import { Engine } from "./engine.js" */
/** @import { Tensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */

/**
 * What the encoder makes of images, one after the other. What the model does not give is null.
 *
 * @typedef {object} Encoded
 * @property {Float32Array} latent
 * @property {Float32Array | null} logvar
 * @property {Int32Array | null} indices
 */

/** Of so many last calls the median is told. */
const REMEMBERED = 21;

export class Model {
  /** @type {Contract} */
  contract;

  /** Numbers of one image. */
  pixels;

  /** Numbers of one latent; 0 where the model cannot be cut. */
  size;

  /** @type {Engine} */
  #engine;

  /** @type {Map<Role, number[]>} */
  #times = new Map();

  /**
   * @param {Contract} contract
   * @param {Engine} engine
   */
  constructor(contract, engine) {
    this.contract = contract;
    this.pixels = contract.image.channels * contract.image.height * contract.image.width;
    this.size = contract.latent === null ? 0 : contract.latent.shape.reduce((product, length) => product * length, 1);
    this.#engine = engine;
  }

  get engine() {
    return this.#engine;
  }

  /**
   * Go on with another engine, whose graphs are open.
   *
   * @param {Engine} engine
   */
  use(engine) {
    this.#engine = engine;
    this.#times.clear();
  }

  /**
   * @param {Float32Array} images one or more
   * @param {number} [sigma] of a model that is told the noise: its standard deviation in levels of 255
   * @returns {Promise<Encoded>}
   */
  async encode(images, sigma) {
    const outputs = await this.#run("encoder", this.#inputs(images, sigma));
    const indices = outputs["indices"];
    return {
      latent: floats(outputs["latent"]),
      logvar: outputs["logvar"] === undefined ? null : floats(outputs["logvar"]),
      indices: indices === undefined ? null : Int32Array.from(/** @type {ArrayLike<bigint>} */ (indices.data), Number),
    };
  }

  /**
   * @param {Float32Array} latents one or more
   * @returns {Promise<Float32Array>} as many images
   */
  async decode(latents) {
    const shape = [latents.length / this.size, ...(this.contract.latent?.shape ?? [])];
    return floats((await this.#run("decoder", { latent: { dtype: "float32", shape, data: latents } }))["image"]);
  }

  /**
   * Through the whole autoencoder.
   *
   * @param {Float32Array} images one or more
   * @param {number} [sigma] as `encode` takes it
   * @returns {Promise<Float32Array>} as many
   */
  async reconstruct(images, sigma) {
    return floats((await this.#run("autoencoder", this.#inputs(images, sigma)))["reconstruction"]);
  }

  /**
   * @param {Role} role
   * @returns {number | null} milliseconds, the median of the last calls with one image; null before the first
   */
  time(role) {
    const all = this.#times.get(role) ?? [];
    // The first call makes ready for the others.
    const times = (all.length > 1 ? all.slice(1) : all).toSorted((one, other) => one - other);
    return times[Math.floor(times.length / 2)] ?? null;
  }

  /**
   * @param {Float32Array} images
   * @param {number | undefined} sigma
   */
  #inputs(images, sigma) {
    const { channels, height, width } = this.contract.image;
    const shape = [images.length / this.pixels, channels, height, width];
    return imageInputs(this.contract.noise, { dtype: "float32", shape, data: images }, sigma);
  }

  /**
   * @param {Role} role
   * @param {Tensors} inputs
   * @returns {Promise<Tensors>}
   */
  async #run(role, inputs) {
    const { outputs, milliseconds } = await this.#engine.run(role, inputs);
    if (Object.values(inputs).every(({ shape }) => shape[0] === 1)) {
      const [first, ...rest] = [...(this.#times.get(role) ?? []), milliseconds];
      this.#times.set(role, [first, ...rest.slice(-REMEMBERED)]);
    }
    return outputs;
  }
}

/**
 * @param {Tensor | undefined} tensor
 * @returns {Float32Array}
 */
function floats(tensor) {
  if (tensor?.dtype !== "float32") {
    throw new Error("A graph did not give what the contract says.");
  }
  return tensor.data;
}
