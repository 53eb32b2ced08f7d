/** What a graph takes for images: of a model that is told how much noise they have, a map of that too. */

/** @import { NoiseContract } from "./contract.js" */
/** @import { FloatTensor } from "./safetensors.js" */
/** @import { Tensors } from "./tensors.js" */

/**
 * @param {NoiseContract | null} noise what the model is told; null: nothing
 * @param {FloatTensor} image [batch, channels, height, width]
 * @param {number | undefined} sigma the noise's standard deviation, in levels of 255
 * @returns {Tensors}
 * @throws {Error} sigma is missing, none that the model takes, or of no use to it
 */
export function imageInputs(noise, image, sigma) {
  if (noise === null) {
    if (sigma !== undefined) {
      throw new Error("This model is told nothing of the noise: leave sigma out.");
    }
    return { image };
  }
  if (sigma === undefined || !(sigma >= 0 && sigma <= noise.maximum)) {
    throw new Error(
      "This model is told how much noise there is: give sigma, its standard deviation in levels of 255, " +
        `from 0 to ${noise.maximum}.`,
    );
  }
  const [batch = 0, , height = 0, width = 0] = image.shape;
  const data = new Float32Array(batch * height * width).fill(sigma);
  return { image, sigma: { dtype: "float32", shape: [batch, 1, height, width], data } };
}
