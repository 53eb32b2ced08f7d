/** What tensors have to do with one another: whether they can be compared, are equal, and the images of a batch. */

/** @import { FloatTensor, Tensor } from "./safetensors.js" */
/** @typedef {Record<string, Tensor>} Tensors by the names of a graph's inputs or outputs */

/**
 * What keeps two tensors from being compared at all.
 *
 * @param {Tensor | undefined} got
 * @param {Tensor | undefined} want
 * @returns {string | null} null: nothing
 */
export function malformed(got, want) {
  if (got === undefined || want === undefined) {
    return got === undefined ? "the graph does not give it" : "the golden file does not have it";
  }
  if (got.dtype !== want.dtype) {
    return `its dtype is ${got.dtype} where the golden one is ${want.dtype}`;
  }
  if (got.shape.length !== want.shape.length || got.shape.some((length, axis) => length !== want.shape[axis])) {
    return `its shape is [${got.shape.join(", ")}] where the golden one is [${want.shape.join(", ")}]`;
  }
  if (!allFinite(want)) {
    return "the golden tensor has NaN or infinity";
  }
  return allFinite(got) ? null : "it has NaN or infinity";
}

/**
 * @param {Tensor} one
 * @param {Tensor | undefined} other
 * @returns {boolean}
 */
export function equal(one, other) {
  return malformed(one, other) === null && one.data.every((value, at) => value === other?.data[at]);
}

/**
 * @param {FloatTensor} tensor
 * @param {number[]} images places in the batch
 * @returns {FloatTensor}
 */
export function rows(tensor, images) {
  const data = new Float32Array((tensor.data.length / (tensor.shape[0] ?? 1)) * images.length);
  for (const [at, image] of images.entries()) {
    const one = row(tensor, image);
    data.set(one, at * one.length);
  }
  return { dtype: "float32", shape: [images.length, ...tensor.shape.slice(1)], data };
}

/**
 * @param {FloatTensor} tensor
 * @param {number} image its place in the batch
 * @returns {Float32Array}
 */
export function row(tensor, image) {
  const size = tensor.data.length / (tensor.shape[0] ?? 1);
  return tensor.data.subarray(image * size, (image + 1) * size);
}

/**
 * @param {Float32Array} one
 * @param {Float32Array} other
 * @returns {number} the largest difference
 */
export function furthest(one, other) {
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] ?? NaN))), 0);
}

/**
 * @param {Tensor} tensor
 * @returns {boolean}
 */
function allFinite(tensor) {
  return tensor.dtype !== "float32" || tensor.data.every(Number.isFinite);
}
