/** Images on canvases, a pixel a pixel: enlarging them is left to the style sheet. */

import { toBytes } from "./pixels.js";

/** @import { ImageContract } from "./contract.js" */

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (context === null) {
    throw new Error("This browser gives the page no canvas to draw on.");
  }
  return context;
}

/**
 * @param {Uint8Array} pixels height × width × channels
 * @param {ImageContract} image
 * @returns {ImageData}
 */
export function imageData(pixels, { channels, height, width }) {
  const data = new ImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += channels, to += 4) {
    data.data[to] = pixels[from];
    data.data[to + 1] = pixels[from + (channels > 1 ? 1 : 0)];
    data.data[to + 2] = pixels[from + (channels > 1 ? 2 : 0)];
    data.data[to + 3] = 255;
  }
  return data;
}

/**
 * Draw one image over a whole canvas, which takes its size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} pixels height × width × channels
 * @param {ImageContract} image
 */
export function drawPixels(canvas, pixels, image) {
  drawTiles(canvas, [pixels], 1, image);
}

/**
 * Draw images side by side over a whole canvas, which takes their size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array[]} tiles height × width × channels each
 * @param {number} columns
 * @param {ImageContract} image
 */
export function drawTiles(canvas, tiles, columns, image) {
  const [width, height] = [columns * image.width, Math.ceil(tiles.length / columns) * image.height];
  // Setting a size clears the canvas, even if it is the same.
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = contextOf(canvas);
  for (const [at, pixels] of tiles.entries()) {
    const [x, y] = [(at % columns) * image.width, Math.floor(at / columns) * image.height];
    context.putImageData(imageData(pixels, image), x, y);
  }
}

/**
 * The images of a graph's output, one after the other.
 *
 * @param {Float32Array} images channels × height × width each, from 0 to 1; what is beyond is black or white
 * @param {ImageContract} image
 * @returns {Uint8Array[]} height × width × channels each
 */
export function bytesOf(images, { channels, height, width }) {
  const size = channels * height * width;
  return Array.from({ length: images.length / size }, (_, at) =>
    toBytes(images.subarray(at * size, (at + 1) * size), channels, height, width),
  );
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>} a PNG file, of the canvas's own size
 */
export function pngOf(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("This browser could not write the picture."))));
  });
}

/**
 * How near one image is to another.
 *
 * @param {Float32Array} one from 0 to 1
 * @param {Float32Array} other
 * @returns {number} decibels; infinite where they are equal
 */
export function psnr(one, other) {
  const squares = one.reduce((sum, value, at) => sum + (value - other[at]) ** 2, 0);
  return -10 * Math.log10(squares / one.length);
}
