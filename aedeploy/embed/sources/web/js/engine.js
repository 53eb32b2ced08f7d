/** The graphs in ONNX Runtime Web: on the processor by WebAssembly, or on the graphics card by WebGPU. */

/** @import { Role } from "./contract.js" */
/** @import { Tensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */

/** @typedef {"wasm" | "webgpu"} Backend */

/**
 * What is used of ONNX Runtime Web.
 *
 * @typedef {{ type: string, dims: readonly number[], data: unknown }} OrtTensor
 * @typedef {{ run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>, release(): Promise<void> }} Session
 * @typedef {object} Ort
 * @property {{ wasm: { numThreads?: number }, logLevel?: string, versions: { common: string } }} env
 * @property {new (type: string, data: unknown, dims: number[]) => OrtTensor} Tensor
 * @property {{ create(content: Uint8Array, options: object): Promise<Session> }} InferenceSession
 */

/** Each backend has a build of its own, of which only that is loaded which runs: a script, and the WebAssembly for it. */
const BUILDS = {
  wasm: { script: "ort.wasm.bundle.min.js", binary: "ort-wasm-simd-threaded.wasm" },
  webgpu: { script: "ort.webgpu.bundle.min.js", binary: "ort-wasm-simd-threaded.asyncify.wasm" },
};

const VENDOR = new URL("../vendor/onnxruntime-web/", import.meta.url);

/** More threads than this gain a small model nothing. */
const MOST_THREADS = 4;

/** @type {Record<Backend, string>} */
export const BACKEND_NAMES = { wasm: "WebAssembly", webgpu: "WebGPU" };

/** The graphs in one backend. Calls wait for one another: neither build runs two at a time. */
export class Engine {
  /** @type {Backend} */
  backend;

  /** The engine and its version, for a person. */
  version = "";

  threads = 1;

  /** @type {Promise<Ort>} */
  #ort;

  /** @type {Map<Role, Session>} */
  #sessions = new Map();

  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Start to load the build; {@link Engine.open} waits for it.
   *
   * @param {Backend} backend
   */
  constructor(backend) {
    this.backend = backend;
    this.#ort = this.#load();
    // Whoever opens a graph is told.
    this.#ort.catch(() => {});
  }

  /**
   * Open a graph, after what is under way: neither build does two things at a time.
   *
   * @param {Role} role
   * @param {Promise<Uint8Array> | Uint8Array} content
   * @returns {Promise<void>}
   * @throws {Error} the engine does not start, or the graph is none that it runs; the message is one sentence
   */
  open(role, content) {
    return this.#queued(async () => {
      const [ort, bytes] = [await this.#ort, await content];
      try {
        const session = await ort.InferenceSession.create(bytes, { executionProviders: [this.backend] });
        this.#sessions.set(role, session);
      } catch (error) {
        throw new Error(`${BACKEND_NAMES[this.backend]} could not open the ${role} graph: ${firstLine(error)}`);
      }
    });
  }

  /**
   * Run a graph.
   *
   * @param {Role} role
   * @param {Tensors} inputs
   * @returns {Promise<{ outputs: Tensors, milliseconds: number }>} the time is that of the call alone
   */
  run(role, inputs) {
    return this.#queued(() => this.#call(role, inputs));
  }

  /** Give the memory of all graphs back, after what is under way. */
  close() {
    return this.#queued(async () => {
      for (const session of this.#sessions.values()) {
        await session.release();
      }
      this.#sessions.clear();
    });
  }

  /**
   * @template Result
   * @param {() => Promise<Result>} work
   * @returns {Promise<Result>}
   */
  #queued(work) {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** @returns {Promise<Ort>} */
  async #load() {
    if (typeof WebAssembly === "undefined") {
      throw new Error("This browser runs no WebAssembly, which the model needs: allow it, or take another browser.");
    }
    const { script, binary } = BUILDS[this.backend];
    // Later there is nothing to wait for but this.
    if (document.readyState !== "complete") {
      preload(new URL(binary, VENDOR));
    }
    /** @type {Ort} */
    let ort;
    try {
      ort = await import(new URL(script, VENDOR).href);
    } catch (error) {
      throw new Error(`ONNX Runtime Web could not be loaded: ${firstLine(error)}`);
    }
    // Threads share memory, which browsers allow only to pages that are isolated from others.
    this.threads = crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
    ort.env.wasm.numThreads = this.threads;
    ort.env.logLevel = "error";
    this.version = `ONNX Runtime Web ${ort.env.versions.common}`;
    return ort;
  }

  /**
   * @param {Role} role
   * @param {Tensors} inputs
   * @returns {Promise<{ outputs: Tensors, milliseconds: number }>}
   */
  async #call(role, inputs) {
    const ort = await this.#ort;
    const session = this.#sessions.get(role);
    if (session === undefined) {
      throw new Error(`There is no ${role} graph in this page.`);
    }
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { dtype, data, shape }]) => [name, new ort.Tensor(dtype, data, shape)]),
    );
    const start = performance.now();
    const results = await session.run(feeds);
    const milliseconds = performance.now() - start;
    const outputs = Object.entries(results).map(([name, { type, data, dims }]) => [
      name,
      /** @type {Tensor} */ ({ dtype: type, data, shape: [...dims] }),
    ]);
    return { outputs: Object.fromEntries(outputs), milliseconds };
  }
}

/**
 * Have a file fetched that the script asks for as soon as it runs.
 *
 * @param {URL} address
 */
function preload(address) {
  const link = document.createElement("link");
  Object.assign(link, { rel: "preload", as: "fetch", crossOrigin: "anonymous", fetchPriority: "high", href: address.href });
  document.head.append(link);
}

/**
 * What keeps WebGPU from running here.
 *
 * @returns {Promise<string | null>} null: nothing is known that would
 */
export async function webgpuMissing() {
  const gpu = /** @type {{ gpu?: { requestAdapter(): Promise<object | null> } }} */ (navigator).gpu;
  if (gpu === undefined) {
    return isSecureContext
      ? "this browser has no WebGPU"
      : "browsers offer WebGPU only to pages from https:// and localhost";
  }
  try {
    return (await gpu.requestAdapter()) === null ? "there is no graphics card that this browser uses for it" : null;
  } catch (error) {
    return firstLine(error);
  }
}

/**
 * @param {unknown} error
 * @returns {string}
 */
export function firstLine(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] ?? "";
}
