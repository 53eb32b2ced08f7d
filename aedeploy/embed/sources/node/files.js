/** Files, and what went wrong with them, in words. */

import { readFile } from "node:fs/promises";

/** @type {Record<string, string>} */
const REASONS = {
  EACCES: "it may not be read",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file",
};

/**
 * @param {string} path
 * @returns {Promise<Buffer>} its content
 * @throws {Error} it cannot be read; the message is one sentence
 */
export async function readContent(path) {
  try {
    return await readFile(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new Error(`${path} cannot be read: ${REASONS[code] ?? reasonOf(error)}.`, { cause: error });
  }
}

/**
 * @param {unknown} error
 * @returns {string} what it says, in one line, without a full stop
 */
export function reasonOf(error) {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s+/g, " ").trim().replace(/\.$/, "");
}
