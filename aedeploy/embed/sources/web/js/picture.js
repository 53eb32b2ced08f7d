/** Image files as the pixels that the model takes, by the exact arithmetic of pixels.js: no canvas resizes anything. */

import { resizeBilinear, toGrey } from "./pixels.js";

/** @import { ImageContract } from "./contract.js" */

/**
 * @typedef {{ pixels: Uint8Array, width: number, height: number }} Picture height × width × channels, upright, in sRGB
 */

/** More would take gigabytes: 100 megapixels. */
const MOST_PIXELS = 100_000_000;

/** Rows are read in strips, so that no canvas is larger than browsers allow. */
const STRIP_PIXELS = 4_194_304;

/**
 * Decode an image file: its first frame, upright, in sRGB, at its own size. Transparency is dropped: the colours that
 * are stored show, also where they were not to be seen.
 *
 * @param {Blob} blob
 * @param {"L" | "RGB"} mode
 * @returns {Promise<Picture & { note: string | null }>} the note says where pixels may not be the file's
 * @throws {Error} the browser cannot read it as an image; the message is one sentence
 */
export async function readPicture(blob, mode) {
  if (blob.size === 0) {
    throw new Error("The file is empty.");
  }
  /** @type {ImageBitmap} */
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new Error("This browser cannot read the file as an image: its format is unknown, or it is broken.");
  }
  try {
    if (bitmap.width * bitmap.height > MOST_PIXELS) {
      throw new Error(`The image has ${bitmap.width} × ${bitmap.height} pixels, and no more than 100 megapixels are read.`);
    }
    return readBitmap(bitmap, mode);
  } finally {
    bitmap.close();
  }
}

/**
 * Bring a picture to the size of a model.
 *
 * @param {Picture} picture
 * @param {ImageContract} contract
 * @returns {Uint8Array} height × width × channels
 */
export function toModelSize({ pixels, width, height }, contract) {
  return resizeBilinear(pixels, width, height, contract.channels, contract.width, contract.height);
}

/**
 * @param {ImageBitmap} bitmap
 * @param {"L" | "RGB"} mode
 * @returns {Picture & { note: string | null }}
 */
function readBitmap(bitmap, mode) {
  const { width, height } = bitmap;
  const channels = mode === "L" ? 1 : 3;
  const pixels = new Uint8Array(width * height * channels);
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  let note = alteredByBrowser() ? "This browser alters what is read from images, against tracking: latents differ." : null;
  for (let y = 0; y < height; y += rows) {
    const strip = Math.min(rows, height - y);
    let rgba = readByCanvas(bitmap, y, strip);
    if (rgba.some((sample, at) => (at & 3) === 3 && sample < 255)) {
      const exact = readByWebgl(bitmap, y, strip);
      note = exact === null ? "Behind its transparency, colours could only be read roughly." : note;
      rgba = exact ?? rgba;
    }
    const rgb = withoutAlpha(rgba);
    pixels.set(mode === "L" ? toGrey(rgb) : rgb, y * width * channels);
  }
  return { pixels, width, height, note };
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} y
 * @param {number} height
 * @returns {Uint8Array | Uint8ClampedArray} RGBA
 */
function readByCanvas(bitmap, y, height) {
  const context = canvasContext(bitmap.width, height);
  context.drawImage(bitmap, 0, -y);
  return context.getImageData(0, 0, bitmap.width, height, { colorSpace: "srgb" }).data;
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {CanvasRenderingContext2D}
 */
function canvasContext(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (context === null) {
    throw new Error("This browser gives the page no canvas to read images with.");
  }
  return context;
}

/** @type {WebGL2RenderingContext | null | undefined} browsers give a page only some */
let webgl;

/**
 * Colours that are not multiplied by their alpha, as a canvas's are: WebGL gives them as they are.
 *
 * @param {ImageBitmap} bitmap
 * @param {number} y
 * @param {number} height
 * @returns {Uint8Array | null} RGBA; null where WebGL does not do it
 */
function readByWebgl(bitmap, y, height) {
  webgl ??= document.createElement("canvas").getContext("webgl2");
  const gl = webgl;
  if (gl === null || gl.isContextLost() || Math.max(bitmap.width, bitmap.height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    return null;
  }
  const [texture, framebuffer] = [gl.createTexture(), gl.createFramebuffer()];
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const rgba = new Uint8Array(bitmap.width * height * 4);
  gl.readPixels(0, y, bitmap.width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  const sound = gl.getError() === gl.NO_ERROR;
  gl.deleteFramebuffer(framebuffer);
  gl.deleteTexture(texture);
  return sound ? rgba : null;
}

/**
 * @param {Uint8Array | Uint8ClampedArray} rgba
 * @returns {Uint8Array}
 */
function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}

/** @type {boolean | undefined} */
let altered;

/**
 * Whether the browser adds noise to what is read from a canvas, as some do against fingerprinting.
 *
 * @returns {boolean}
 */
function alteredByBrowser() {
  if (altered === undefined) {
    const size = 32;
    const context = canvasContext(size, size);
    const known = new ImageData(size, size);
    known.data.forEach((_, at) => (known.data[at] = (at & 3) === 3 ? 255 : (at * 37) & 255));
    context.putImageData(known, 0, 0);
    altered = context.getImageData(0, 0, size, size).data.some((sample, at) => sample !== known.data[at]);
  }
  return altered;
}
