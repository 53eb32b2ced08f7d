/**
 * Pixels as models take and give them: exactly the arithmetic that the model was trained with, which is Pillow's.
 *
 * Images are 8-bit samples in rows from the top, the channels of a pixel side by side: height × width × channels.
 * Nothing in here needs a browser or Node.
 */

/** Bits behind the binary point of a weight: what 32 leave beside an 8-bit sample and two bits of headroom. */
const PRECISION_BITS = 32 - 8 - 2;

/** b / 255 in float32, for each byte b. */
const UNIT = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

/**
 * Resize an image whatever its aspect: `Image.resize(…, BILINEAR)` of Pillow 13, to the last bit.
 *
 * A triangle filter whose support grows with the reduction: first across, then down, with 8-bit samples in between.
 * Where the height loses more than twice as many pixels as the width it is first down, then across.
 *
 * @param {Uint8Array} pixels height × width × channels
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @param {number} newWidth
 * @param {number} newHeight
 * @returns {Uint8Array} newHeight × newWidth × channels; `pixels` itself where the size is right already
 */
export function resizeBilinear(pixels, width, height, channels, newWidth, newHeight) {
  const lost = height - newHeight;
  if (lost > 0 && lost > 2 * (width - newWidth)) {
    const down = resample(pixels, 1, height, width * channels, newHeight);
    return resample(down, newHeight, width, channels, newWidth);
  }
  const across = resample(pixels, height, width, channels, newWidth);
  return resample(across, 1, height, newWidth * channels, newHeight);
}

/**
 * Grey as broadcasting has it (ITU-R 601-2 luma).
 *
 * @param {Uint8Array} rgb three samples a pixel
 * @returns {Uint8Array} one sample a pixel
 */
export function toGrey(rgb) {
  const grey = new Uint8Array(rgb.length / 3);
  for (let at = 0, from = 0; at < grey.length; at += 1, from += 3) {
    grey[at] = (19595 * sample(rgb, from) + 38470 * sample(rgb, from + 1) + 7471 * sample(rgb, from + 2) + 0x8000) >> 16;
  }
  return grey;
}

/**
 * An image as a graph takes it.
 *
 * @param {Uint8Array} pixels height × width × channels
 * @param {number} channels
 * @returns {Float32Array} channels × height × width, from 0 to 1
 */
export function toInput(pixels, channels) {
  const input = new Float32Array(pixels.length);
  const plane = pixels.length / channels;
  let from = 0;
  for (let at = 0; at < plane; at += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      input[channel * plane + at] = UNIT[sample(pixels, from)] ?? 0;
      from += 1;
    }
  }
  return input;
}

/**
 * What a graph gives, as an image: each value is 255 times as large and rounded, halves to the even neighbour.
 *
 * @param {Float32Array} image channels × height × width, from 0 to 1
 * @param {number} channels
 * @param {number} height
 * @param {number} width
 * @returns {Uint8Array} height × width × channels
 */
export function toBytes(image, channels, height, width) {
  const plane = height * width;
  // It clamps, and rounds halves to even, when a number is stored.
  const pixels = new Uint8ClampedArray(plane * channels);
  let to = 0;
  for (let at = 0; at < plane; at += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      // The product is one of float32 numbers.
      pixels[to] = Math.fround((image[channel * plane + at] ?? 0) * 255);
      to += 1;
    }
  }
  return new Uint8Array(pixels.buffer);
}

/**
 * Resample the middle axis of an array of bytes: outer × size × inner becomes outer × newSize × inner.
 *
 * @param {Uint8Array} samples
 * @param {number} outer
 * @param {number} size
 * @param {number} inner
 * @param {number} newSize
 * @returns {Uint8Array} `samples` itself where the size is right already
 */
function resample(samples, outer, size, inner, newSize) {
  if (newSize === size) {
    return samples;
  }
  const { starts, counts, weights, most } = triangleWeights(size, newSize);
  const resampled = new Uint8Array(outer * newSize * inner);
  let to = 0;
  for (let line = 0; line < outer; line += 1) {
    for (let at = 0; at < newSize; at += 1) {
      const first = (line * size + (starts[at] ?? 0)) * inner;
      const count = counts[at] ?? 0;
      for (let offset = 0; offset < inner; offset += 1) {
        // Starts at a half, so that the shift rounds. 255 times all weights is just above 2^30: no 32 bits overflow.
        let sum = 1 << (PRECISION_BITS - 1);
        for (let tap = 0, from = first + offset; tap < count; tap += 1, from += inner) {
          sum += sample(samples, from) * /** @type {number} */ (weights[at * most + tap]);
        }
        resampled[to] = Math.min(sum >> PRECISION_BITS, 255);
        to += 1;
      }
    }
  }
  return resampled;
}

/**
 * For each new position, the first old one that counts, how many do, and with which weights (`most` places for each).
 *
 * @param {number} size
 * @param {number} newSize
 * @returns {{ starts: Int32Array, counts: Int32Array, weights: Int32Array, most: number }}
 */
function triangleWeights(size, newSize) {
  const scale = size / newSize;
  const support = Math.max(scale, 1);
  const narrowing = 1 / support;
  const most = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(newSize);
  const counts = new Int32Array(newSize);
  const weights = new Int32Array(newSize * most);
  for (let at = 0; at < newSize; at += 1) {
    const centre = (at + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), size);
    /** @type {number[]} */
    const heights = [];
    let total = 0;
    for (let from = start; from < end; from += 1) {
      const height = Math.max(1 - Math.abs((from - centre + 0.5) * narrowing), 0);
      heights.push(height);
      total += height;
    }
    starts[at] = start;
    counts[at] = heights.length;
    for (const [tap, height] of heights.entries()) {
      weights[at * most + tap] = Math.trunc((height / total) * (1 << PRECISION_BITS) + 0.5);
    }
  }
  return { starts, counts, weights, most };
}

/**
 * A sample that is known to be there.
 *
 * @param {Uint8Array} samples
 * @param {number} at
 * @returns {number}
 */
function sample(samples, at) {
  return /** @type {number} */ (samples[at]);
}
