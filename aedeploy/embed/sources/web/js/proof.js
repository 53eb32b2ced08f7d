/** Engines that are proven: each graph open, and the golden vectors passed. */

import { contract } from "./contract.js";
import { Engine, webgpuMissing } from "./engine.js";
import { goldenFile, openGraphs } from "./first.js";
import { parseSafetensors } from "./safetensors.js";
import { selfTest } from "./self-test.js";

/** @import { Backend } from "./engine.js" */
/** @import { Tensor } from "./safetensors.js" */
/** @import { Check } from "./self-test.js" */

/** @typedef {{ passed: boolean, checks: Check[] }} Proof */

/** @type {Map<string, Tensor> | undefined} */
let golden;

/** The golden vectors, and the samples. */
export async function goldenTensors() {
  golden ??= parseSafetensors(await goldenFile);
  return golden;
}

/**
 * Run the golden vectors on an engine whose graphs are open.
 *
 * @param {Engine} engine
 * @returns {Promise<Proof>}
 */
export async function prove(engine) {
  return selfTest(contract, await goldenTensors(), async (role, inputs) => (await engine.run(role, inputs)).outputs);
}

/**
 * An engine of that backend, proven; or why there is none.
 *
 * @param {Backend} backend
 * @returns {Promise<{ engine: Engine, proof: Proof } | { reason: string }>}
 */
export async function provenEngine(backend) {
  const missing = backend === "webgpu" ? await webgpuMissing() : null;
  if (missing !== null) {
    return { reason: missing };
  }
  const engine = new Engine(backend);
  try {
    await openGraphs(
      engine,
      contract.graphs.map(({ role }) => role),
    );
    const proof = await prove(engine);
    if (proof.passed) {
      return { engine, proof };
    }
    await engine.close();
    return { reason: `the golden vectors fail on it (${firstFailure(proof)})` };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * @param {Proof} proof that failed
 * @returns {string}
 */
export function firstFailure({ checks }) {
  const { role, output, reason } = checks.find(({ passed }) => !passed) ?? checks[0];
  return `${[role, output].filter(Boolean).join(", ")}: ${reason}`;
}
