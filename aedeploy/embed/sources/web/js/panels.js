/** Which panels a model has, and what each of them waits for. */

import { Codebook, codebookTable } from "./codebook.js";
import { fetchFile } from "./files.js";
import { byId, complain, sentenceOf } from "./page.js";
import { mountGallery, mountInput } from "./panels/input.js";
import { Interpolation } from "./panels/interpolation.js";
import { mountLatent } from "./panels/latent.js";
import { fetchCloud, LatentMap } from "./panels/map.js";
import { mountOutput } from "./panels/output.js";
import { Places } from "./panels/places.js";
import { Sliders } from "./panels/sliders.js";
import { toInput } from "./pixels.js";
import { Spread } from "./spread.js";

/** @import { Explorer } from "./explorer.js" */

/**
 * @param {Explorer} explorer
 */
export function mountPanels(explorer) {
  const { contract } = explorer.model;
  const { latent, image } = contract;
  /** @type {Spread | null} */
  let spread = null;
  const known = () => spread;
  mountInput(explorer);
  mountOutput(explorer);
  byId("work").classList.toggle("uncut", latent === null);
  byId("latent").hidden = latent === null;
  byId("skip").hidden = latent === null;
  if (latent === null) {
    return {
      /** @param {Uint8Array[]} samples */
      async showFirst(samples) {
        mountGallery(explorer, samples);
        await explorer.setImage("sample 1", samples[0]);
      },
      async showRest() {},
      refresh() {},
    };
  }
  mountLatent(explorer, known);
  const sliders = new Sliders(explorer, known);
  const places = latent.kind === "spatial" ? new Places(explorer, known, sliders) : null;
  const map = latent.kind === "vector" && explorer.model.size === 2 ? new LatentMap(explorer) : null;
  if (places === null) {
    sliders.show(
      "Numbers",
      Array.from({ length: explorer.model.size }, (_, at) => at),
    );
  }
  const interpolation = new Interpolation(explorer);

  /** @param {Float32Array} latents of the samples */
  async function showMap(latents) {
    const own = { latents, labels: null, names: [] };
    if (map !== null) {
      const { points } = contract;
      const cloud = points === null ? own : await fetchCloud(points, fetchFile);
      await map.show(cloud, points?.about ?? "The points are the samples.");
    }
  }

  return {
    /** @param {Uint8Array[]} samples height × width × channels each */
    async showFirst(samples) {
      if (contract.codebook !== null) {
        explorer.codebook = new Codebook(await codebookTable(contract.codebook, fetchFile), latent);
      }
      mountGallery(explorer, samples);
      await explorer.setImage("sample 1", samples[0]);
    },

    /** @param {Uint8Array[]} samples */
    async showRest(samples) {
      const images = new Float32Array(samples.length * explorer.model.pixels);
      samples.forEach((pixels, at) => images.set(toInput(pixels, image.channels), at * explorer.model.pixels));
      // They are as clean as the model knows them.
      const encoded = await explorer.model.encode(images, contract.noise === null ? undefined : 0);
      spread = new Spread(latent, encoded);
      sliders.rangesChanged();
      places?.rangesChanged();
      interpolation.startFar(encoded.latent);
      try {
        await showMap(encoded.latent);
        await places?.showCodes();
      } catch (error) {
        complain(sentenceOf(error));
      }
    },

    /** Another engine runs. */
    refresh() {
      interpolation.refresh();
    },
  };
}
