/** Chance that is the same for the same seed. */

/**
 * Tommy Ettinger's Mulberry32: 32 bits of state, and even enough for pictures.
 *
 * @param {number} seed
 * @returns {() => number} from 0 to 1, without 1
 */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {number} count
 * @param {number} seed
 * @returns {Float32Array} draws of N(0, 1)
 */
export function gaussian(count, seed) {
  const draw = uniform(seed);
  const draws = new Float32Array(count);
  for (let at = 0; at < count; at += 2) {
    // Box and Muller's two at a time. 1 − u is never 0; what is set beyond the end is not kept.
    const radius = Math.sqrt(-2 * Math.log(1 - draw()));
    const angle = 2 * Math.PI * draw();
    draws[at] = radius * Math.cos(angle);
    draws[at + 1] = radius * Math.sin(angle);
  }
  return draws;
}

/** @returns {number} another one each time */
export function freshSeed() {
  return Math.floor(Math.random() * 2 ** 32);
}
