/**
 * Read safetensors files: eight bytes that say how long the header is, the header in JSON, and the numbers.
 *
 * Nothing in here needs a browser or Node.
 */

/**
 * An array of numbers, in rows: the last axis varies fastest.
 *
 * @typedef {{ dtype: "float32", shape: number[], data: Float32Array }} FloatTensor
 * @typedef {{ dtype: "int64", shape: number[], data: BigInt64Array }} IntTensor
 * @typedef {{ dtype: "uint8", shape: number[], data: Uint8Array }} ByteTensor
 * @typedef {FloatTensor | IntTensor | ByteTensor} Tensor
 */

const LENGTH_BYTES = 8;

/** Bytes of one number. */
const SIZES = { F32: 4, I64: 8, U8: 1 };

/**
 * Read the content of a safetensors file.
 *
 * @param {ArrayBuffer | Uint8Array} content
 * @returns {Map<string, Tensor>} the tensors by name, each with numbers of its own
 * @throws {Error} it is not a whole safetensors file, or one with other numbers than float32, int64 and uint8; the
 *   message is one sentence
 */
export function parseSafetensors(content) {
  const bytes = content instanceof Uint8Array ? content : new Uint8Array(content);
  const { header, start } = readHeader(bytes);
  const values = bytes.subarray(start);
  /** @type {Map<string, Tensor>} */
  const tensors = new Map();
  let used = 0;
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") {
      const { dtype, shape, from, to } = checked(name, entry);
      if (to > values.length) {
        throw new Error(`The safetensors file is cut off: it ends before the numbers of ${name}.`);
      }
      // A copy starts where its numbers may: in the file they lie at any byte. Not by slice, which in Node's Buffer is none.
      tensors.set(name, tensor(dtype, shape, new Uint8Array(values.subarray(from, to)).buffer));
      used += to - from;
    }
  }
  if (used !== values.length) {
    throw new Error(`The safetensors file is damaged: its tensors take ${used} bytes, and it has ${values.length}.`);
  }
  return tensors;
}

/**
 * @param {Uint8Array} bytes
 * @returns {{ header: Record<string, unknown>, start: number }} what the file says of its tensors, and where they start
 */
function readHeader(bytes) {
  if (bytes.length < LENGTH_BYTES) {
    throw new Error("The safetensors file is cut off: it is shorter than the length of its header.");
  }
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  const start = LENGTH_BYTES + length;
  if (start > bytes.length) {
    throw new Error("The safetensors file is cut off or damaged: its header would be longer than the file.");
  }
  /** @type {unknown} */
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, start)));
  } catch {
    throw new Error("The safetensors file is damaged: its header is not JSON.");
  }
  if (!isRecord(header)) {
    throw new Error("The safetensors file is damaged: its header is not a JSON object.");
  }
  return { header, start };
}

/**
 * What the header says of one tensor, if it makes sense.
 *
 * @param {string} name
 * @param {unknown} entry
 * @returns {{ dtype: keyof typeof SIZES, shape: number[], from: number, to: number }}
 */
function checked(name, entry) {
  if (!isRecord(entry)) {
    throw new Error(`The safetensors file is damaged: its header does not describe ${name}.`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (dtype !== "F32" && dtype !== "I64" && dtype !== "U8") {
    throw new Error(`The safetensors file has ${name} as ${String(dtype)}: only F32, I64 and U8 are read here.`);
  }
  if (!isCounts(shape) || !isCounts(offsets)) {
    throw new Error(`The safetensors file is damaged: its header gives ${name} no shape or no place.`);
  }
  const [from, to] = offsets;
  const size = shape.reduce((product, length) => product * length, SIZES[dtype]);
  if (offsets.length !== 2 || from === undefined || to === undefined || to - from !== size) {
    throw new Error(`The safetensors file is damaged: the shape of ${name} is not that of its numbers.`);
  }
  return { dtype, shape, from, to };
}

/**
 * @param {keyof typeof SIZES} dtype
 * @param {number[]} shape
 * @param {ArrayBuffer} buffer little-endian, as is every machine that runs this
 * @returns {Tensor}
 */
function tensor(dtype, shape, buffer) {
  switch (dtype) {
    case "F32":
      return { dtype: "float32", shape, data: new Float32Array(buffer) };
    case "I64":
      return { dtype: "int64", shape, data: new BigInt64Array(buffer) };
    case "U8":
      return { dtype: "uint8", shape, data: new Uint8Array(buffer) };
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @returns {value is number[]}
 */
function isCounts(value) {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}
