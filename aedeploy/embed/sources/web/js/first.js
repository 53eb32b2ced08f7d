/**
 * What takes longest begins here, before the rest of the page is loaded: fetching the model's files, and the engine with
 * the graph that the first image needs.
 */

import { contract } from "./contract.js";
import { Engine } from "./engine.js";
import { fetchFile } from "./files.js";

/** @import { Role } from "./contract.js" */

/** What the first image needs. @type {Role[]} */
export const FIRST_GRAPHS = contract.latent === null ? ["autoencoder"] : ["encoder", "decoder"];

/** @type {Map<Role, Promise<Uint8Array<ArrayBuffer>>>} */
export const graphFiles = new Map(contract.graphs.map((graph) => [graph.role, fetchFile(graph)]));

export const goldenFile = fetchFile(contract.golden);

/** WebGPU was asked for in the address. */
export const wantsWebgpu = new URL(location.href).searchParams.get("backend") === "webgpu";

/** By WebAssembly; null where WebGPU is to be tried first. @type {{ engine: Engine, opened: Promise<void> } | null} */
export const first = wantsWebgpu ? null : begin();

// Whoever waits for one is told; none of them is to be reported as unheard.
[...graphFiles.values(), goldenFile].forEach((file) => file.catch(() => {}));

/** An engine that opens what the first image needs. */
export function begin() {
  const engine = new Engine("wasm");
  const opened = openGraphs(engine, FIRST_GRAPHS);
  opened.catch(() => {});
  return { engine, opened };
}

/**
 * @param {Engine} engine
 * @param {Role[]} roles
 */
export async function openGraphs(engine, roles) {
  for (const role of roles) {
    const content = graphFiles.get(role);
    if (content !== undefined) {
      await engine.open(role, content);
    }
  }
}
