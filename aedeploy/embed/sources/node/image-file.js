/** Image files: read as the model was trained to see them, and written. */

import sharp from "sharp";

import { contract } from "./contract.js";
import { readContent, reasonOf, writeContent } from "./files.js";
import { resizeBilinear, toBytes, toGrey, toInput } from "./pixels.js";

/** @import { Metadata, SharpOptions } from "sharp" */
/** @import { FloatTensor } from "./safetensors.js" */

/**
 * Pixels in rows from the top, the samples of a pixel side by side.
 *
 * @typedef {{ pixels: Uint8Array, width: number, height: number }} Picture
 */

/** What sharp decodes by itself, and is made of pixels: not SVG. "heif" is what it calls AVIF. */
const FORMATS = new Set(["gif", "heif", "jpeg", "png", "tiff", "webp"]);

const NO_FORMAT = "it is none of JPEG, PNG, WebP, GIF, TIFF and AVIF";

/** @satisfies {SharpOptions} */
const OPTIONS = {
  autoOrient: true,
  // A damaged image is refused; a file that is odd in another way is not.
  failOn: /** @type {const} */ ("error"),
  // By its header, before its pixels take the memory.
  limitInputPixels: 100_000_000,
};

/**
 * Read an image file as the model takes it.
 *
 * @param {string | Uint8Array} source a path, or the content of a file
 * @returns {Promise<FloatTensor>} [1, channels, height, width], from 0 to 1
 * @throws {Error} it cannot be read as an image; the message is one sentence
 */
export async function readImage(source) {
  const name = typeof source === "string" ? source : "The image";
  const content = typeof source === "string" ? await readContent(source) : source;
  /** @type {Picture} */
  let picture;
  try {
    picture = await decode(content);
  } catch (error) {
    const reason = reasonOf(error).replace("Input buffer contains unsupported image format", NO_FORMAT);
    throw new Error(`${name} cannot be read as an image: ${reason}.`, { cause: error });
  }
  const { channels, mode, width, height } = contract.image;
  // Grey is made before the size: the order makes a difference.
  const pixels = mode === "L" ? toGrey(picture.pixels) : picture.pixels;
  const resized = resizeBilinear(pixels, picture.width, picture.height, channels, width, height);
  return { dtype: "float32", shape: [1, channels, height, width], data: toInput(resized, channels) };
}

/**
 * Write an image as PNG.
 *
 * @param {FloatTensor} image [1, channels, height, width], from 0 to 1
 * @param {string} path
 */
export async function writeImage(image, path) {
  const [batch, channels, height, width] = image.shape;
  if (batch !== 1 || height === undefined || width === undefined || (channels !== 1 && channels !== 3)) {
    throw new Error(`An image is [1, channels, height, width], this is [${image.shape.join(", ")}].`);
  }
  if (!image.data.every(Number.isFinite)) {
    throw new Error("The image has NaN or infinity: the self-test says whether the model computes what it should.");
  }
  if (!/\.png$/i.test(path)) {
    throw new Error(`${path} is not written: images are written as PNG, so give it a name that ends in .png.`);
  }
  const pixels = sharp(toBytes(image.data, channels, height, width), { raw: { width, height, channels } });
  await writeContent(path, await pixels.toColourspace(channels === 1 ? "b-w" : "srgb").png().toBuffer());
}

/**
 * The first frame, upright, as RGB in sRGB. Alpha is dropped: the colours that are stored show, also where they were
 * not to be seen.
 *
 * @param {Uint8Array} content
 * @returns {Promise<Picture>}
 */
async function decode(content) {
  const metadata = await sharp(content, OPTIONS).metadata();
  if (!FORMATS.has(metadata.format)) {
    throw new Error(NO_FORMAT);
  }
  if (metadata.depth !== "uchar" && metadata.depth !== "ushort") {
    throw new Error(`its samples are of the type ${metadata.depth}, for which no range is defined`);
  }
  if (metadata.space === "cmyk" && metadata.icc === undefined) {
    return decodeInks(content);
  }
  if (metadata.depth === "ushort" && metadata.icc !== undefined) {
    return decodeWithProfile(await inEightBits(content, metadata));
  }
  if (metadata.space === "grey16" && !metadata.hasAlpha) {
    return decodeWords(content);
  }
  return decodeWithProfile(content);
}

/**
 * The usual way: sharp itself carries out an embedded profile.
 *
 * @param {Uint8Array} content
 * @returns {Promise<Picture>}
 */
async function decodeWithProfile(content) {
  const { data, info } = await sharp(content, OPTIONS)
    .removeAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { pixels: data, width: info.width, height: info.height };
}

/**
 * Grey of 16 bits, rounded: sharp itself would cut off the lower eight.
 *
 * @param {Uint8Array} content
 * @returns {Promise<Picture>}
 */
async function decodeWords(content) {
  const { data, info } = await sharp(content, OPTIONS)
    .toColourspace("grey16")
    .raw({ depth: "ushort" })
    .toBuffer({ resolveWithObject: true });
  const words = new Uint16Array(data.buffer, data.byteOffset, info.width * info.height);
  const pixels = new Uint8Array(words.length * 3);
  for (const [at, word] of words.entries()) {
    pixels.fill(Math.floor((word * 255 + 32767) / 65535), at * 3, at * 3 + 3);
  }
  return { pixels, width: info.width, height: info.height };
}

/**
 * CMYK of which no profile says what its inks look like: each takes its share of the light. sharp itself would assume
 * a printing press.
 *
 * @param {Uint8Array} content
 * @returns {Promise<Picture>}
 */
async function decodeInks(content) {
  const { data, info } = await sharp(content, OPTIONS)
    .pipelineColourspace("cmyk")
    .toColourspace("cmyk")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const pixels = new Uint8Array(info.width * info.height * 3);
  for (let at = 0, from = 0; at < pixels.length; at += 3, from += info.channels) {
    const light = 255 - (data[from + 3] ?? 0);
    for (let ink = 0; ink < 3; ink += 1) {
      pixels[at + ink] = light - dividedBy255((data[from + ink] ?? 0) * light);
    }
  }
  return { pixels, width: info.width, height: info.height };
}

/**
 * An image of 16 bits, as a PNG of 8 with the same profile: sharp carries a profile out on 8 bits alone.
 *
 * @param {Uint8Array} content
 * @param {Metadata} metadata
 * @returns {Promise<Uint8Array>}
 */
async function inEightBits(content, metadata) {
  return sharp(content, OPTIONS)
    .removeAlpha()
    .keepIccProfile()
    .toColourspace(metadata.space === "grey16" ? "b-w" : "srgb")
    .png({ compressionLevel: 0 })
    .toBuffer();
}

/**
 * @param {number} product of two bytes
 * @returns {number} rounded to the nearest
 */
function dividedBy255(product) {
  return ((product + 128) * 257) >> 16;
}
