/** Files, and what went wrong with them, in words. */

import { readFile, writeFile } from "node:fs/promises";

/** @type {Record<string, string>} */
const UNREADABLE = {
  EACCES: "it may not be read",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file",
};

/** @type {Record<string, string>} */
const UNWRITABLE = {
  EACCES: "it may not be written",
  EISDIR: "it is a folder",
  ENOENT: "there is no such folder",
  ENOSPC: "the disk is full",
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
    throw new Error(`${path} cannot be read: ${UNREADABLE[codeOf(error)] ?? reasonOf(error)}.`, { cause: error });
  }
}

/**
 * @param {string} path
 * @param {Uint8Array} content
 * @throws {Error} it cannot be written; the message is one sentence
 */
export async function writeContent(path, content) {
  try {
    await writeFile(path, content);
  } catch (error) {
    throw new Error(`${path} cannot be written: ${UNWRITABLE[codeOf(error)] ?? reasonOf(error)}.`, { cause: error });
  }
}

/**
 * @param {unknown} error
 * @returns {string} the system's name of it
 */
function codeOf(error) {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/**
 * @param {unknown} error
 * @returns {string} what it says, in one line, without a full stop
 */
export function reasonOf(error) {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s+/g, " ").trim().replace(/\.$/, "");
}
