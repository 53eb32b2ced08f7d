/** The files beside this page, checked against the contract. */

/** @import { FileRecord } from "./contract.js" */

const ROOT = new URL("../", import.meta.url);

/**
 * Whether this browser can check what it was served. It offers SHA-256 to pages from https:// and localhost only.
 *
 * @returns {boolean}
 */
export function canHash() {
  return globalThis.crypto?.subtle !== undefined;
}

/**
 * Fetch a file of the contract.
 *
 * @param {FileRecord} record
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 * @throws {Error} it is not there, or is not the file of the contract; the message is one sentence
 */
export async function fetchFile({ file, sha256, bytes }) {
  const content = new Uint8Array(await (await fetched(file)).arrayBuffer());
  if (content.length !== bytes) {
    throw new Error(`${file} has ${content.length} bytes where the contract has ${bytes}: it was altered or cut off.`);
  }
  if (canHash()) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    if (Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") !== sha256) {
      throw new Error(`${file} is not the file of the contract (its SHA-256 differs): it was altered.`);
    }
  }
  return content;
}

/**
 * @param {string} file its path in the folder of this page
 * @returns {Promise<Response>}
 */
async function fetched(file) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(new URL(file, ROOT), { credentials: "same-origin" });
  } catch {
    throw new Error(`${file} could not be fetched: is the server of this page still running?`);
  }
  if (!response.ok) {
    throw new Error(`${file} could not be fetched: the server answered ${response.status}.`);
  }
  return response;
}
