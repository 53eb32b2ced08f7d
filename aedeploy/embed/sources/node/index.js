/** What other programs import. */

export { Autoencoder } from "./autoencoder.js";
export { contract } from "./contract.js";
export { readImage, writeImage } from "./image-file.js";
