/** The conformance protocol, version 1: golden inputs from stdin, what the graphs make of them to stdout. */

import { once } from "node:events";

import { has } from "./autoencoder.js";
import { contract } from "./contract.js";
import { reasonOf } from "./files.js";
import { readImage } from "./image-file.js";

/** @import { Readable, Writable } from "node:stream" */
/** @import { Autoencoder } from "./autoencoder.js" */
/** @import { Tensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */

/**
 * Answer requests until there are no more.
 *
 * @param {Autoencoder} model
 * @param {Readable} input
 * @param {Writable} output
 */
export async function conform(model, input, output) {
  const source = new ByteReader(input);
  for (let line = await source.line(); line !== null; line = await source.line()) {
    for (const part of await answer(model, source, line)) {
      if (!output.write(part)) {
        await once(output, "drain");
      }
    }
  }
}

/**
 * @param {Autoencoder} model
 * @param {ByteReader} source
 * @param {string} line
 * @returns {Promise<(string | Uint8Array)[]>}
 */
async function answer(model, source, line) {
  const [word, role = "", count = ""] = line.split(" ");
  switch (word) {
    case "conform":
      return ["conform 1\n"];
    case "run": {
      const inputs = await readTensors(source, Number(count));
      return has(role) ? outcome(() => model.run(role, inputs)) : [`skip this model has no ${role}\n`];
    }
    case "image":
      if (contract.noise !== null) {
        return ["skip this model is told how much noise there is, which a request for a file does not say\n"];
      }
      return has("encoder")
        ? outcome(async () => ({ ...(await model.encode(await readImage(line.slice("image ".length)))) }))
        : ["skip this model has no encoder\n"];
    default:
      return [`error there is no request ${word ?? ""}\n`];
  }
}

/**
 * @param {() => Promise<Tensors>} work
 * @returns {Promise<(string | Uint8Array)[]>}
 */
async function outcome(work) {
  try {
    const outputs = Object.entries(await work());
    return [`ok ${outputs.length}\n`, ...outputs.flatMap(([name, tensor]) => written(name, tensor))];
  } catch (error) {
    return [`error ${reasonOf(error)}\n`];
  }
}

/**
 * @param {string} name
 * @param {Tensor} tensor
 * @returns {[string, Uint8Array]}
 */
function written(name, { dtype, shape, data }) {
  const header = ["tensor", name, dtype, shape.length, ...shape].join(" ");
  return [`${header}\n`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

/**
 * @param {ByteReader} source
 * @param {number} count
 * @returns {Promise<Tensors>}
 */
async function readTensors(source, count) {
  /** @type {Tensors} */
  const tensors = {};
  for (let left = count; left > 0; left -= 1) {
    const [word, name, dtype, rank, ...sizes] = ((await source.line()) ?? "").split(" ");
    const shape = sizes.filter((size) => size !== "").map(Number);
    if (word !== "tensor" || name === undefined || shape.length !== Number(rank)) {
      throw new Error("The input is not that of the conformance protocol: a tensor was due.");
    }
    tensors[name] = await readValues(source, dtype, shape);
  }
  return tensors;
}

/**
 * @param {ByteReader} source
 * @param {string | undefined} dtype
 * @param {number[]} shape
 * @returns {Promise<Tensor>}
 */
async function readValues(source, dtype, shape) {
  const size = shape.reduce((product, length) => product * length, 1);
  switch (dtype) {
    case "float32":
      return { dtype, shape, data: new Float32Array(await source.bytes(size * 4)) };
    case "int64":
      return { dtype, shape, data: new BigInt64Array(await source.bytes(size * 8)) };
    case "uint8":
      return { dtype, shape, data: new Uint8Array(await source.bytes(size)) };
    default:
      throw new Error(`The input is not that of the conformance protocol: there is no dtype ${dtype ?? ""}.`);
  }
}

/** Lines and raw bytes from one stream. */
class ByteReader {
  /** @type {AsyncIterator<Buffer>} */
  #chunks;
  /** @type {Buffer} */
  #held = Buffer.alloc(0);

  /** @param {Readable} stream */
  constructor(stream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /**
   * @returns {Promise<string | null>} the next line without its end; null: there is none
   */
  async line() {
    let end = this.#held.indexOf("\n");
    while (end < 0) {
      const chunk = await this.#next();
      if (chunk === null) {
        return null;
      }
      this.#held = Buffer.concat([this.#held, chunk]);
      end = this.#held.indexOf("\n");
    }
    return this.#take(end + 1).toString("utf8", 0, end);
  }

  /**
   * @param {number} count
   * @returns {Promise<ArrayBuffer>} of its own, so that numbers of any size may start there
   */
  async bytes(count) {
    const bytes = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      if (this.#held.length === 0) {
        const chunk = await this.#next();
        if (chunk === null) {
          throw new Error("The input ends in the middle of a tensor.");
        }
        this.#held = chunk;
      }
      const taken = this.#take(Math.min(count - filled, this.#held.length));
      bytes.set(taken, filled);
      filled += taken.length;
    }
    return bytes.buffer;
  }

  /** @returns {Promise<Buffer | null>} null: there is no more */
  async #next() {
    const { done, value } = await this.#chunks.next();
    return done === true ? null : value;
  }

  /** @param {number} count */
  #take(count) {
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }
}
