/**
 * Does this program compute what the model computed when it was exported? Golden vectors say.
 *
 * Nothing in here needs a browser or Node: whoever runs the graphs hands in how.
 */

import { compareAll, figure, imagesDecidedOtherwise } from "./comparison.js";
import { equal, furthest, malformed, row, rows } from "./tensors.js";

/** @import { Comparison } from "./comparison.js" */
/** @import { Contract, Graph, Output, Role } from "./contract.js" */
/** @import { Tensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */

/**
 * Run a graph. Every tensor that is given and returned is a whole batch.
 *
 * @callback Run
 * @param {Role} role
 * @param {Tensors} inputs
 * @returns {Promise<Tensors>} all outputs
 */

/**
 * One thing that was looked at. What does not apply is null.
 *
 * @typedef {object} Check
 * @property {Role} role
 * @property {number | null} batch null: all batches together
 * @property {string | null} output null: the whole graph
 * @property {"maximum" | "norm" | "psnr"} measure what `error` is: the largest, relative to all (L2), or decibels
 * @property {number | null} error
 * @property {number | null} limit the largest error that passes; of decibels, the least
 * @property {number | null} otherwise decisions, such as indices, that fell otherwise
 * @property {number | null} decisions of so many
 * @property {boolean} passed
 * @property {string | null} reason why it failed
 */

/**
 * An encoder's answer to a golden case, and whether it passed.
 *
 * @typedef {{ image: Tensor, got: Tensors, want: Tensors, sound: boolean }} Encoded
 */

/**
 * Run every golden case through its graph.
 *
 * @param {Contract} contract
 * @param {Map<string, Tensor>} golden the tensors of the golden file
 * @param {Run} run
 * @param {(check: Check) => void} [onCheck] called as soon as something was looked at
 * @returns {Promise<{ passed: boolean, checks: Check[] }>}
 */
export async function selfTest(contract, golden, run, onCheck = () => {}) {
  /** @type {Check[]} */
  const checks = [];
  /** @type {Map<number, Encoded>} */
  const encoded = new Map();
  /** @type {Map<string, { role: Role, output: Output, comparisons: Comparison[] }>} */
  const together = new Map();
  const note = (/** @type {Check} */ check) => {
    checks.push(check);
    onCheck(check);
  };
  for (const { role, batch } of contract.golden.cases) {
    const graph = contract.graphs.find((candidate) => candidate.role === role);
    try {
      if (graph === undefined) {
        throw new Error("the contract has no such graph");
      }
      const { inputs, want } = goldenCase(golden, graph, batch);
      const got = await run(role, inputs);
      requireNames(got, graph);
      const wanted = role === "autoencoder" ? await merged(encoded.get(batch), inputs, got, want, run) : want;
      const comparisons = compareAll(got, wanted, graph.outputs, graph.decisions, contract.latent);
      if (role === "encoder" && inputs["image"]) {
        const sound = comparisons.every((comparison) => comparison.passed);
        encoded.set(batch, { image: inputs["image"], got, want, sound });
      }
      for (const [at, comparison] of comparisons.entries()) {
        note(checkOf(role, batch, comparison));
        const output = /** @type {Output} */ (graph.outputs[at]);
        const key = `${role}/${output.name}`;
        const found = together.get(key) ?? { role, output, comparisons: [] };
        together.set(key, { ...found, comparisons: [...found.comparisons, comparison] });
      }
    } catch (error) {
      note({ ...nothing(role), batch, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const { role, output, comparisons } of together.values()) {
    overall(role, output, comparisons).forEach(note);
  }
  if (checks.length === 0) {
    throw new Error("There is nothing to test: the contract names no golden case.");
  }
  return { passed: checks.every((check) => check.passed), checks };
}

/**
 * A check in one line, for a person.
 *
 * @param {Check} check
 * @returns {string}
 */
export function describe(check) {
  const { role, batch, output, measure, error, limit, otherwise, decisions, reason } = check;
  const subject = [role, batch === null ? "all batches" : `batch ${batch}`, output].filter(Boolean).join(", ");
  if (!check.passed) {
    return `failed  ${subject}: ${reason ?? "it is off"}`;
  }
  const found = [];
  if (error !== null && measure === "psnr") {
    found.push(`${error.toFixed(1)} dB, at least ${(limit ?? 0).toFixed(1)}`);
  } else if (error !== null) {
    const what = measure === "norm" ? "relative error" : "error";
    found.push(`${what} ${figure(error)}${limit === null ? "" : `, limit ${figure(limit)}`}`);
  }
  if (otherwise !== null) {
    found.push(`${otherwise} of ${decisions ?? 0} decided otherwise`);
  }
  return `ok      ${subject}: ${found.join("; ")}`;
}

/**
 * What goes in and what must come out.
 *
 * @param {Map<string, Tensor>} golden
 * @param {Graph} graph
 * @param {number} batch
 * @returns {{ inputs: Tensors, want: Tensors }}
 */
function goldenCase(golden, graph, batch) {
  const prefix = `${graph.role}/${batch}/`;
  const names = [...golden.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const expected = [...graph.inputs, ...graph.outputs].map(({ name }) => name);
  const missing = expected.find((name) => !names.includes(name));
  if (missing !== undefined) {
    throw new Error(`the golden file has no ${prefix}${missing}`);
  }
  const unknown = names.find((name) => !expected.includes(name));
  if (unknown !== undefined) {
    throw new Error(`the golden file has ${prefix}${unknown}, of which the contract knows nothing`);
  }
  const pick = (/** @type {{ name: string }[]} */ specs) =>
    Object.fromEntries(specs.map(({ name }) => [name, /** @type {Tensor} */ (golden.get(prefix + name))]));
  return { inputs: pick(graph.inputs), want: pick(graph.outputs) };
}

/**
 * @param {Tensors} got
 * @param {Graph} graph
 */
function requireNames(got, graph) {
  const [given, expected] = [Object.keys(got), graph.outputs.map(({ name }) => name)];
  if (given.length !== expected.length || given.some((name) => !expected.includes(name))) {
    throw new Error(`the graph gives ${given.join(", ")}, the contract has ${expected.join(", ")}`);
  }
}

/**
 * What to hold reconstructions against. Where a sound encoder decided otherwise than the golden one, an image is also
 * right when it is what the decoder makes of that other latent: the nearer of the two is taken.
 *
 * @param {Encoded | undefined} encoded of the same batch
 * @param {Tensors} inputs
 * @param {Tensors} got
 * @param {Tensors} want
 * @param {Run} run
 * @returns {Promise<Tensors>}
 */
async function merged(encoded, inputs, got, want, run) {
  const [mine, golden, latent] = [got["reconstruction"], want["reconstruction"], encoded?.got["latent"]];
  if (!encoded?.sound || mine?.dtype !== "float32" || golden?.dtype !== "float32" || latent?.dtype !== "float32") {
    return want;
  }
  if (malformed(mine, golden) !== null || !equal(encoded.image, inputs["image"])) {
    return want;
  }
  const images = imagesDecidedOtherwise(encoded.got, encoded.want);
  if (images.length === 0) {
    return want;
  }
  const decoded = (await run("decoder", { latent: rows(latent, images) }))["image"];
  if (decoded?.dtype !== "float32" || malformed(decoded, rows(golden, images)) !== null) {
    return want;
  }
  const data = golden.data.slice();
  for (const [at, image] of images.entries()) {
    const [own, original, other] = [row(mine, image), row(golden, image), row(decoded, at)];
    if (furthest(own, other) < furthest(own, original)) {
      data.set(other, image * other.length);
    }
  }
  return { ...want, reconstruction: { ...golden, data } };
}

/**
 * What is judged over all batches of an output.
 *
 * @param {Role} role
 * @param {Output} output
 * @param {Comparison[]} comparisons
 * @returns {Check[]}
 */
function overall(role, output, comparisons) {
  const sum = (/** @type {"squares" | "wantedSquares" | "values"} */ figure) =>
    comparisons.reduce((total, comparison) => total + comparison[figure], 0);
  /** @type {Check[]} */
  const checks = [];
  const about = { ...nothing(role), output: output.name };
  if (output.norm !== null) {
    const [error, size] = [Math.sqrt(sum("squares")), Math.sqrt(sum("wantedSquares"))];
    const passed = error <= output.norm * size;
    const relative = error === 0 ? 0 : error / size;
    const reason = `its relative error ${figure(relative)} is above the tolerance ${figure(output.norm)}`;
    checks.push({ ...about, measure: "norm", error: relative, limit: output.norm, passed, reason });
  }
  if (output.psnr !== null) {
    const decibels = 10 * Math.log10(sum("values") / sum("squares"));
    const passed = decibels >= output.psnr;
    const reason = `${decibels.toFixed(1)} dB is below the tolerance ${output.psnr.toFixed(1)} dB`;
    checks.push({ ...about, measure: "psnr", error: decibels, limit: output.psnr, passed, reason });
  }
  return checks.map((check) => (check.passed ? { ...check, reason: null } : check));
}

/**
 * @param {Role} role
 * @param {number} batch
 * @param {Comparison} comparison
 * @returns {Check}
 */
function checkOf(role, batch, { output, error, limit, otherwise, decisions, passed, reason }) {
  return { ...nothing(role), batch, output, error, limit, otherwise, decisions, passed, reason };
}

/**
 * @param {Role} role
 * @returns {Check}
 */
function nothing(role) {
  const figures = { error: null, limit: null, otherwise: null, decisions: null };
  return { role, batch: null, output: null, measure: "maximum", ...figures, passed: false, reason: null };
}
