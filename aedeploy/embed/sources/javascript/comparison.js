/**
 * One output of a graph against its golden tensor.
 *
 * An encoder decides: which code stands for a place, which entries of a latent are kept. Where two choices are equally
 * good, two engines that both compute rightly may choose differently. So choices are held against one another by how
 * many agree, and numbers are compared where the choices do.
 */

import { malformed } from "./tensors.js";

/** @import { LatentContract, Output } from "./contract.js" */
/** @import { FloatTensor, IntTensor, Tensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */

/**
 * How one output of one call compares. What does not apply is null.
 *
 * @typedef {object} Comparison
 * @property {string} output
 * @property {boolean} passed
 * @property {string | null} reason why it failed
 * @property {number | null} error the largest, of the numbers that were compared
 * @property {number | null} limit of the error
 * @property {number | null} otherwise how many decisions fell otherwise
 * @property {number | null} decisions of so many
 * @property {number} squares of all errors, their sum
 * @property {number} wantedSquares of all golden numbers, their sum
 * @property {number} values how many numbers were compared
 */

/**
 * Compare all outputs of a graph with the golden ones.
 *
 * @param {Tensors} got every output of `outputs`
 * @param {Tensors} want likewise
 * @param {Output[]} outputs
 * @param {number} share of decisions that may fall otherwise
 * @param {LatentContract | null} latent
 * @returns {Comparison[]} in the order of `outputs`
 */
export function compareAll(got, want, outputs, share, latent) {
  const same = agreeing(got["indices"], want["indices"]);
  return outputs.map((output) => {
    const [mine, golden] = [got[output.name], want[output.name]];
    const problem = malformed(mine, golden);
    if (problem !== null || mine === undefined || golden === undefined) {
      return failed(output.name, problem ?? "it is missing");
    }
    if (mine.dtype === "int64" && golden.dtype === "int64") {
      return compareIndices(output.name, mine, golden, share);
    }
    if (mine.dtype !== "float32" || golden.dtype !== "float32") {
      return failed(output.name, `nothing is known of outputs that are ${golden.dtype}`);
    }
    if (output.name === "latent" && same !== null) {
      const inner = innerSize(golden.shape);
      const channels = golden.shape[1] ?? 1;
      return compareFloats(output, mine, golden, (at) => same[placeOf(at, channels, inner)] === true);
    }
    if (output.name === "latent" && latent?.masked === true) {
      return compareMasked(output, mine, golden, share);
    }
    return compareFloats(output, mine, golden);
  });
}

/**
 * In which images of a batch a code is another one, or an entry is kept by one of the two only.
 *
 * @param {Tensors} got sound outputs of an encoder
 * @param {Tensors} want the golden ones
 * @returns {number[]} their places in the batch
 */
export function imagesDecidedOtherwise(got, want) {
  const differ = decisionsDiffer(got, want);
  const images = want["latent"]?.shape[0] ?? 0;
  const decisions = (want["indices"] ?? want["latent"])?.data.length ?? 0;
  const each = decisions / images;
  return Array.from({ length: images }, (_, image) => image).filter((image) =>
    Array.from({ length: each }, (_, at) => image * each + at).some(differ),
  );
}

/**
 * @param {Tensors} got
 * @param {Tensors} want
 * @returns {(at: number) => boolean} whether a decision, counted through the whole batch, fell otherwise
 */
function decisionsDiffer(got, want) {
  const [mine, golden] = want["indices"] ? [got["indices"], want["indices"]] : [got["latent"], want["latent"]];
  return want["indices"]
    ? (at) => mine?.data[at] !== golden?.data[at]
    : (at) => (mine?.data[at] !== 0) !== (golden?.data[at] !== 0);
}

/**
 * @param {Output} output
 * @param {FloatTensor} got
 * @param {FloatTensor} want
 * @param {(at: number) => boolean} [judged] which numbers are compared; all, by default
 * @returns {Comparison}
 */
function compareFloats(output, got, want, judged = () => true) {
  const limit = limitOf(output, want);
  const found = { ...nothing(output.name), error: 0, limit };
  for (const [at, golden] of want.data.entries()) {
    if (judged(at)) {
      const error = Math.abs(number(got, at) - golden);
      found.error = Math.max(found.error, error);
      found.squares += error * error;
      found.wantedSquares += golden * golden;
      found.values += 1;
    }
  }
  // Written so that NaN, which is never ≤ anything, fails.
  const passed = limit === null || found.error <= limit;
  const reason = `its error ${figure(found.error)} is above the tolerance ${figure(limit ?? 0)}`;
  return { ...found, passed, reason: passed ? null : reason };
}

/**
 * @param {string} name
 * @param {IntTensor} got
 * @param {IntTensor} want
 * @param {number} share
 * @returns {Comparison}
 */
function compareIndices(name, got, want, share) {
  const otherwise = want.data.reduce((count, golden, at) => count + (got.data[at] === golden ? 0 : 1), 0);
  const counted = { ...nothing(name), passed: true, otherwise, decisions: want.data.length };
  return judgeNumber(counted, share, 1, "indices are others");
}

/**
 * @param {Output} output
 * @param {FloatTensor} got
 * @param {FloatTensor} want
 * @param {number} share
 * @returns {Comparison}
 */
function compareMasked(output, got, want, share) {
  const flipped = flippedEntries(got, want, limitOf(output, want));
  const found = compareFloats(output, got, want, (at) => !flipped.has(at));
  const counted = { ...found, otherwise: flipped.size, decisions: want.data.length };
  // Two at the least: one entry in the place of another.
  return found.passed ? judgeNumber(counted, share, 2, "entries are kept by one and not by the other") : counted;
}

/**
 * The entries that are 0 on one side and not on the other because a choice may have left them out: those as small as
 * the least that is kept. At a place where both keep as many, that is the place's own least (of the k largest); where
 * they do not, the least of all places (above a threshold).
 *
 * @param {FloatTensor} got
 * @param {FloatTensor} want
 * @param {number | null} limit
 * @returns {Set<number>}
 */
function flippedEntries(got, want, limit) {
  const channels = want.shape[1] ?? 1;
  const inner = innerSize(want.shape);
  const places = want.data.length / channels;
  const least = new Float64Array(places).fill(Infinity);
  const surplus = new Int32Array(places);
  const value = want.data.map((golden, at) => (golden !== 0 ? golden : number(got, at) || Infinity));
  for (const [at, golden] of want.data.entries()) {
    const place = placeOf(at, channels, inner);
    least[place] = Math.min(least[place] ?? Infinity, value[at] ?? Infinity);
    surplus[place] = (surplus[place] ?? 0) + Number(number(got, at) !== 0) - Number(golden !== 0);
  }
  const leastOfAll = least.reduce((one, other) => Math.min(one, other), Infinity);
  /** @type {Set<number>} */
  const flipped = new Set();
  for (const [at, golden] of want.data.entries()) {
    const mine = number(got, at);
    if ((mine !== 0) !== (golden !== 0) && Math.abs(mine - golden) > (limit ?? 0)) {
      const place = placeOf(at, channels, inner);
      const edge = surplus[place] === 0 ? (least[place] ?? Infinity) : leastOfAll;
      if (limit === null || (value[at] ?? Infinity) <= edge + limit) {
        flipped.add(at);
      }
    }
  }
  return flipped;
}

/**
 * Whether no more decisions fell otherwise than may: `least` where the share would allow fewer, but never all.
 *
 * @param {Comparison} counted
 * @param {number} share
 * @param {number} least
 * @param {string} what
 * @returns {Comparison}
 */
function judgeNumber(counted, share, least, what) {
  const [otherwise, decisions] = [counted.otherwise ?? 0, counted.decisions ?? 0];
  const allowed = Math.min(Math.max(least, Math.floor(share * decisions)), Math.max(decisions - 1, 0));
  if (otherwise <= allowed) {
    return counted;
  }
  const reason = `${otherwise} of ${decisions} ${what}, and no more than ${allowed} may be`;
  return { ...counted, passed: false, reason };
}

/**
 * @param {Tensor | undefined} got
 * @param {Tensor | undefined} want
 * @returns {boolean[] | null} the places with the same index; null where there are no indices to compare
 */
function agreeing(got, want) {
  if (got?.dtype !== "int64" || want?.dtype !== "int64" || malformed(got, want) !== null) {
    return null;
  }
  return Array.from(want.data, (golden, at) => got.data[at] === golden);
}

/**
 * @param {Output} output
 * @param {FloatTensor} want
 * @returns {number | null}
 */
function limitOf(output, want) {
  if (output.absolute === null) {
    return null;
  }
  return output.absolute + output.relative * want.data.reduce((most, golden) => Math.max(most, Math.abs(golden)), 0);
}

/**
 * The place, batch × height × width, of an entry of batch × channels × height × width.
 *
 * @param {number} at
 * @param {number} channels
 * @param {number} inner
 */
function placeOf(at, channels, inner) {
  return Math.floor(at / (channels * inner)) * inner + (at % inner);
}

/**
 * How many entries a channel of one image has.
 *
 * @param {number[]} shape
 */
function innerSize(shape) {
  return shape.slice(2).reduce((product, length) => product * length, 1);
}

/**
 * @param {FloatTensor} tensor
 * @param {number} at
 */
function number(tensor, at) {
  return tensor.data[at] ?? NaN;
}

/**
 * @param {string} output
 * @returns {Comparison}
 */
function nothing(output) {
  const figures = { error: null, limit: null, otherwise: null, decisions: null };
  return { output, passed: false, reason: null, ...figures, squares: 0, wantedSquares: 0, values: 0 };
}

/**
 * @param {string} output
 * @param {string} reason
 * @returns {Comparison}
 */
function failed(output, reason) {
  return { ...nothing(output), reason };
}

/**
 * @param {number} value
 * @returns {string} in three digits
 */
export function figure(value) {
  return value === 0 ? "0" : value.toExponential(2);
}
