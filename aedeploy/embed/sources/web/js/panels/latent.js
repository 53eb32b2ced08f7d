/** The latent's heading, and what is done to the latent as a whole. */

import { freshSeed, gaussian } from "../noise.js";
import { announce, byId } from "../page.js";

/** @import { Explorer } from "../explorer.js" */
/** @import { Spread } from "../spread.js" */

/**
 * @param {Explorer} explorer
 * @param {() => Spread | null} spread null until the samples are encoded
 */
export function mountLatent(explorer, spread) {
  byId("latent-about").textContent = describe(explorer);
  const [reset, random, sample] = ["reset", "random", "sample"].map((id) => byId(id, HTMLButtonElement));
  explorer.addEventListener("latent", () => (reset.disabled = !explorer.edited));
  reset.addEventListener("click", () => {
    void explorer.reset();
    // A button that cannot be pressed keeps no focus.
    random.focus();
    announce("The latent is the image's own again.");
  });
  random.addEventListener("click", () => {
    const latent = spread()?.random(freshSeed(), explorer.codebook);
    if (latent !== undefined) {
      void explorer.setLatent(latent);
      announce("A random latent, within the range of the samples'.");
    }
  });
  sample.hidden = explorer.model.contract.latent?.distribution !== "gaussian";
  sample.addEventListener("click", () => {
    const { latent, logvar } = explorer.encoded ?? {};
    if (latent && logvar) {
      const draws = gaussian(latent.length, freshSeed());
      void explorer.setLatent(latent.map((mean, at) => mean + Math.exp(logvar[at] / 2) * draws[at]));
      announce("A draw from what the encoder says of the image.");
    }
  });
}

/** @param {Explorer} explorer */
function describe({ model }) {
  const { latent } = model.contract;
  if (latent === null) {
    return "";
  }
  const pixels = model.pixels;
  if (latent.kind === "vector") {
    const spread = latent.distribution === "gaussian" ? ", each with a spread" : "";
    const kept = latent.masked ? ", most of them 0" : "";
    return `${model.size} numbers for ${pixels}${spread}${kept}`;
  }
  const [channels, height, width] = latent.shape;
  const each = latent.codebook_size === null ? ` of ${channels} numbers` : `, each one of ${latent.codebook_size} codes`;
  return `${height} × ${width} places${each}`;
}
