/** The model: images to latents and back, by its graphs in onnxruntime. */

import { availableParallelism } from "node:os";
import { join } from "node:path";

import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";

import { contract } from "./contract.js";
import { reasonOf } from "./files.js";
import { imageInputs } from "./told.js";

/** @import { Role } from "./contract.js" */
/** @import { FloatTensor, IntTensor, Tensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */
/** @typedef {{ latent: FloatTensor, logvar?: FloatTensor, indices?: IntTensor }} Code */

/** @type {InferenceSession.SessionOptions} */
const OPTIONS = {
  // The CPU by name: another provider computes slightly otherwise, and would have to prove itself.
  executionProviders: ["cpu"],
  // Its own count is that of the machine, whatever share of it this process may use.
  intraOpNumThreads: availableParallelism(),
  logSeverityLevel: 3,
};

/** The model's graphs, opened. It may run several calls at the same time. */
export class Autoencoder {
  /** @type {ReadonlyMap<Role, InferenceSession>} */
  #sessions;

  /**
   * @private open one by `Autoencoder.open`
   * @param {ReadonlyMap<Role, InferenceSession>} sessions
   */
  constructor(sessions) {
    this.#sessions = sessions;
  }

  /**
   * @param {string} [folder] where `model/` is; by default that of this module
   * @param {readonly Role[]} [roles] the graphs to open; by default all that the model has
   * @returns {Promise<Autoencoder>}
   */
  static async open(folder = import.meta.dirname, roles = contract.graphs.map((graph) => graph.role)) {
    const opened = roles.map(async (role) => /** @type {const} */ ([role, await openSession(folder, role)]));
    return new Autoencoder(new Map(await Promise.all(opened)));
  }

  /**
   * @param {FloatTensor} image [batch, channels, height, width], from 0 to 1
   * @param {number} [sigma] of a model that is told the noise: its standard deviation in levels of 255
   * @returns {Promise<Code>}
   */
  async encode(image, sigma) {
    const { latent, logvar, indices } = await this.run("encoder", imageInputs(contract.noise, image, sigma));
    return {
      latent: float(latent),
      ...(logvar && { logvar: float(logvar) }),
      ...(indices?.dtype === "int64" && { indices }),
    };
  }

  /**
   * @param {FloatTensor} latent as `encode` gives it
   * @returns {Promise<FloatTensor>} images, [batch, channels, height, width], from 0 to 1
   */
  async decode(latent) {
    return float((await this.run("decoder", { latent }))["image"]);
  }

  /**
   * @param {FloatTensor} image [batch, channels, height, width], from 0 to 1
   * @param {number} [sigma] as `encode` takes it
   * @returns {Promise<FloatTensor>} the same images as the model gives them back
   */
  async reconstruct(image, sigma) {
    if (!has("autoencoder")) {
      return this.decode((await this.encode(image, sigma)).latent);
    }
    const inputs = imageInputs(contract.noise, image, sigma);
    return float((await this.run("autoencoder", inputs))["reconstruction"]);
  }

  /**
   * Run one graph.
   *
   * @param {Role} role
   * @param {Tensors} inputs
   * @returns {Promise<Tensors>} all its outputs
   */
  async run(role, inputs) {
    const session = this.#sessions.get(role);
    if (session === undefined) {
      throw new Error(has(role) ? `The ${role} was not opened.` : `This model has no ${role}.`);
    }
    /** @type {Record<string, OrtTensor>} */
    const feeds = {};
    for (const [name, { dtype, shape, data }] of Object.entries(inputs)) {
      feeds[name] = new OrtTensor(dtype, data, shape);
    }
    const outputs = Object.entries(await session.run(feeds));
    return Object.fromEntries(outputs.map(([name, tensor]) => [name, ours(name, tensor)]));
  }
}

/**
 * Whether the model has such a graph.
 *
 * @param {string} role
 * @returns {role is Role}
 */
export function has(role) {
  return contract.graphs.some((graph) => graph.role === role);
}

/**
 * @param {string} folder
 * @param {Role} role
 * @returns {Promise<InferenceSession>}
 */
async function openSession(folder, role) {
  const graph = contract.graphs.find((candidate) => candidate.role === role);
  if (graph === undefined) {
    throw new Error(`This model has no ${role}.`);
  }
  try {
    return await InferenceSession.create(join(folder, graph.file), OPTIONS);
  } catch (error) {
    throw new Error(`${graph.file} cannot be opened: ${reasonOf(error)}.`, { cause: error });
  }
}

/**
 * @param {string} name
 * @param {OrtTensor} tensor
 * @returns {Tensor}
 */
function ours(name, { type, dims, data }) {
  const shape = [...dims];
  if (type === "float32" && data instanceof Float32Array) {
    return { dtype: type, shape, data };
  }
  if (type === "int64" && data instanceof BigInt64Array) {
    return { dtype: type, shape, data };
  }
  throw new Error(`The graph gives ${name} as ${type}, of which the contract knows nothing.`);
}

/**
 * @param {Tensor | undefined} tensor
 * @returns {FloatTensor}
 */
function float(tensor) {
  if (tensor?.dtype !== "float32") {
    throw new Error("The graph does not give what the contract says.");
  }
  return tensor;
}
