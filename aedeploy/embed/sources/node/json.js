/** Tensors as JSON: nested arrays, of one image. */

import { contract } from "./contract.js";

/** @import { FloatTensor, Tensor } from "./safetensors.js" */
/** @typedef {number | Nested[]} Nested */

/**
 * The first of a batch, as nested arrays.
 *
 * @param {Tensor} tensor
 * @returns {Nested}
 */
export function nested({ shape, data }) {
  let values = /** @type {Nested[]} */ (Array.from(data, Number));
  for (const length of shape.slice(1).reverse()) {
    const rows = values;
    values = Array.from({ length: rows.length / length }, (_, at) => rows.slice(at * length, (at + 1) * length));
  }
  return values[0] ?? [];
}

/**
 * What `encode` printed, as the decoder takes it.
 *
 * @param {string} text
 * @param {string} name of the file that it is from
 * @returns {FloatTensor} a batch of one
 * @throws {Error} it is no latent of this model; the message is one sentence
 */
export function latentOf(text, name) {
  if (contract.latent === null) {
    throw new Error("This model has no decoder.");
  }
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name} is not JSON: give it what encode printed.`, { cause: error });
  }
  const { shape } = contract.latent;
  const latent = typeof value === "object" && value !== null && "latent" in value ? value.latent : value;
  const numbers = flattened(latent, shape);
  if (numbers === null) {
    throw new Error(`${name} holds no latent of this model: arrays of numbers, [${shape.join(", ")}], are due.`);
  }
  return { dtype: "float32", shape: [1, ...shape], data: Float32Array.from(numbers) };
}

/**
 * @param {unknown} value
 * @param {number[]} shape
 * @returns {number[] | null} null: it is not nested arrays of that shape, of numbers that float32 holds
 */
function flattened(value, shape) {
  const [length, ...inner] = shape;
  if (length === undefined) {
    return typeof value === "number" && Number.isFinite(Math.fround(value)) ? [value] : null;
  }
  if (!Array.isArray(value) || value.length !== length) {
    return null;
  }
  /** @type {number[]} */
  const numbers = [];
  for (const element of value) {
    const found = flattened(element, inner);
    if (found === null) {
      return null;
    }
    numbers.push(...found);
  }
  return numbers;
}
