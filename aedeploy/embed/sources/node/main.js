#!/usr/bin/env node
/** The command line: see USAGE. */

import { createHash } from "node:crypto";
import { join } from "node:path";

import { Autoencoder, has } from "./autoencoder.js";
import { conform } from "./conform.js";
import { contract } from "./contract.js";
import { readContent, reasonOf } from "./files.js";
import { readImage, writeImage } from "./image-file.js";
import { latentOf, nested } from "./json.js";
import { parseSafetensors } from "./safetensors.js";
import { describe, selfTest } from "./self-test.js";

/** @import { FileRecord } from "./contract.js" */

const FOLDER = import.meta.dirname;

const USAGE = `Usage: node main.js COMMAND

  self-test                     prove that this machine computes what the model computed when it was exported
  encode IMAGE                  print the latent of an image file, as JSON
  decode LATENT.json OUT.png    make an image of what encode printed
  reconstruct IMAGE OUT.png     write an image file as the model gives it back
  conform                       answer the conformance protocol on stdin and stdout
${
  contract.noise === null
    ? ""
    : `
  --sigma N                     of encode and reconstruct, needed: the noise's standard deviation in levels of 255,
                                from 0 to ${contract.noise.maximum}
`
}`;

/** The commands to which `--sigma` is given, of a model that is told the noise. */
const TOLD = contract.noise === null ? [] : ["encode", "reconstruct"];

/** @type {Record<string, { takes: number, run: (...args: string[]) => Promise<boolean> }>} */
const COMMANDS = {
  "self-test": { takes: 0, run: testItself },
  encode: { takes: 1, run: encode },
  decode: { takes: 2, run: decode },
  reconstruct: { takes: 2, run: reconstruct },
  conform: { takes: 0, run: answerRequests },
};

async function testItself() {
  let passed = true;
  for (const record of [contract.golden, ...contract.graphs.flatMap((graph) => [graph, graph.data ?? []].flat())]) {
    const reason = await alteration(record);
    console.log(reason === null ? `ok      ${record.file}: as it was written` : `failed  ${record.file}: ${reason}`);
    passed &&= reason === null;
  }
  const golden = parseSafetensors(await readContent(join(FOLDER, contract.golden.file)));
  const model = await Autoencoder.open();
  const found = await selfTest(contract, golden, (role, inputs) => model.run(role, inputs), (check) =>
    console.log(describe(check)),
  );
  passed &&= found.passed;
  console.log(passed ? "Passed: this machine computes what the model computed." : "Failed: do not use this model here.");
  return passed;
}

/**
 * @param {FileRecord} record
 * @returns {Promise<string | null>} how a file is not what it was; null: it is
 */
async function alteration({ file, bytes, sha256 }) {
  const content = await readContent(join(FOLDER, file));
  const same = content.length === bytes && createHash("sha256").update(content).digest("hex") === sha256;
  return same ? null : "it was altered, write the program again";
}

/**
 * @param {string} image
 * @param {string} [sigma]
 */
async function encode(image, sigma) {
  const input = await readImage(image);
  const model = await Autoencoder.open(FOLDER, ["encoder"]);
  const outputs = Object.entries(await model.encode(input, numberOf(sigma)));
  await print(`${JSON.stringify(Object.fromEntries(outputs.map(([name, tensor]) => [name, nested(tensor)])))}\n`);
  return true;
}

/**
 * To stdout, all of it: console.log says nothing of a full disk.
 *
 * @param {string} text
 * @returns {Promise<void>}
 */
function print(text) {
  return new Promise((resolve, reject) => {
    process.stdout.once("error", reject);
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * @param {string} latent
 * @param {string} out
 */
async function decode(latent, out) {
  const input = latentOf((await readContent(latent)).toString(), latent);
  const model = await Autoencoder.open(FOLDER, ["decoder"]);
  await writeImage(await model.decode(input), out);
  return true;
}

/**
 * @param {string} image
 * @param {string} out
 * @param {string} [sigma]
 */
async function reconstruct(image, out, sigma) {
  const input = await readImage(image);
  const model = await Autoencoder.open(FOLDER, has("autoencoder") ? ["autoencoder"] : ["encoder", "decoder"]);
  await writeImage(await model.reconstruct(input, numberOf(sigma)), out);
  return true;
}

/**
 * @param {string | undefined} text
 * @returns {number | undefined} NaN where it is no number
 */
function numberOf(text) {
  return text === undefined ? undefined : text.trim() === "" ? NaN : Number(text);
}

async function answerRequests() {
  await conform(await Autoencoder.open(), process.stdin, process.stdout);
  return true;
}

/**
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
async function main([name = "", ...args]) {
  if (name === "--help" || name === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (TOLD.includes(name) && args.includes("--sigma")) {
    // Last, where each of the two has it.
    args.push(...args.splice(args.indexOf("--sigma"), 2).slice(1));
  }
  if (command === undefined || command.takes + (TOLD.includes(name) ? 1 : 0) !== args.length) {
    process.stderr.write(USAGE);
    return 2;
  }
  try {
    return (await command.run(...args)) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`Error: ${reasonOf(error)}.\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
