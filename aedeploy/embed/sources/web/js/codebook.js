/** The entries that a quantised latent is made of. */

/** @import { Codebook as Record, LatentContract } from "./contract.js" */

/** Looking for the nearest entry of every place costs more than this many products only in seconds. */
const MOST_PRODUCTS = 20_000_000;

/** A code that was not looked for. */
export const UNKNOWN = -1;

export class Codebook {
  /** How many entries. */
  codes;

  /** Numbers of an entry: the channels of the latent. */
  dimension;

  /** Places of a latent. */
  places;

  /** @type {Float32Array} codes × dimension */
  #table;

  /**
   * @param {Float32Array} table
   * @param {LatentContract} latent channels × height × width
   */
  constructor(table, latent) {
    const [dimension = 1, height = 1, width = 1] = latent.shape;
    this.dimension = dimension;
    this.codes = table.length / dimension;
    this.places = height * width;
    this.#table = table;
  }

  /**
   * @param {number} code
   * @returns {Float32Array}
   */
  entry(code) {
    return this.#table.subarray(code * this.dimension, (code + 1) * this.dimension);
  }

  /**
   * A latent whose places are those codes.
   *
   * @param {ArrayLike<number>} codes
   * @returns {Float32Array} dimension × places
   */
  latent(codes) {
    const latent = new Float32Array(this.dimension * this.places);
    for (let place = 0; place < this.places; place += 1) {
      this.put(latent, place, codes[place]);
    }
    return latent;
  }

  /**
   * @param {Float32Array} latent
   * @param {number} place
   * @param {number} code
   */
  put(latent, place, code) {
    for (const [channel, value] of this.entry(code).entries()) {
      latent[channel * this.places + place] = value;
    }
  }

  /**
   * The entry that is nearest to what a latent has at a place.
   *
   * @param {Float32Array} latent
   * @param {number} place
   * @returns {number}
   */
  nearest(latent, place) {
    let [best, least] = [0, Infinity];
    for (let code = 0; code < this.codes; code += 1) {
      let distance = 0;
      for (let channel = 0; channel < this.dimension; channel += 1) {
        const difference = this.#table[code * this.dimension + channel] - latent[channel * this.places + place];
        distance += difference * difference;
      }
      if (distance < least) {
        [best, least] = [code, distance];
      }
    }
    return best;
  }

  /**
   * The nearest entry of every place; of a latent so large that it would take long, none.
   *
   * @param {Float32Array} latent
   * @returns {Int32Array}
   */
  allNearest(latent) {
    const codes = new Int32Array(this.places).fill(UNKNOWN);
    return this.places * this.codes * this.dimension > MOST_PRODUCTS
      ? codes
      : codes.map((_, place) => this.nearest(latent, place));
  }
}

/**
 * The entries of a finite scalar quantisation, which stores none: channel c of code i is the digit
 * ⌊i / (L₀ · … · L₍c₋₁₎)⌋ mod L_c, from −1 on.
 *
 * @param {number[]} levels
 * @returns {Float32Array}
 */
export function scalarTable(levels) {
  const codes = levels.reduce((product, level) => product * level, 1);
  const table = new Float32Array(codes * levels.length);
  for (let code = 0; code < codes; code += 1) {
    let rest = code;
    for (const [channel, level] of levels.entries()) {
      table[code * levels.length + channel] = (rest % level) / Math.floor(level / 2) - 1;
      rest = Math.floor(rest / level);
    }
  }
  return table;
}

/**
 * @param {Record} record
 * @param {(record: import("./contract.js").FileRecord) => Promise<Uint8Array<ArrayBuffer>>} fetchFile
 * @returns {Promise<Float32Array>}
 */
export async function codebookTable(record, fetchFile) {
  return "levels" in record ? scalarTable(record.levels) : new Float32Array((await fetchFile(record)).buffer);
}
