/** The entries of a codebook, one of which is put at the place that is chosen. */

import { bytesOf, drawPixels } from "../draw.js";
import { announce, byId, make } from "../page.js";
import { rovingGrid, stopAt } from "../roving.js";

/** @import { Explorer } from "../explorer.js" */

/** Pictures are decoded in so many at a time, so that the page stays quick. */
const AT_A_TIME = 16;

/** Of a larger codebook, only so many have a picture. */
const MOST_PICTURES = 1024;

export class Codes {
  #explorer;
  #place;
  #grid = make("div", { class: "codes-grid", role: "listbox", "aria-label": "Code at the place", "aria-orientation": "horizontal" });

  /** @type {HTMLElement[]} */
  #cells = [];

  /**
   * @param {Explorer} explorer whose codebook is there
   * @param {() => number} place that is chosen
   */
  constructor(explorer, place) {
    this.#explorer = explorer;
    this.#place = place;
    const codes = explorer.codebook?.codes ?? 0;
    this.#cells = Array.from({ length: codes }, (_, code) =>
      make("div", { role: "option", "data-cell": String(code), "aria-label": `code ${code}` }, make("span", {}, String(code))),
    );
    this.#grid.append(...this.#cells);
    rovingGrid(this.#grid, (cell) => {
      const code = Number(cell.dataset["cell"]);
      void explorer.setCode(this.#place(), code);
      announce(`Code ${code}.`);
    });
    const panel = byId("codes");
    panel.hidden = false;
    panel.append(
      make("div", { class: "heading" }, make("h3", {}, "Code at the place")),
      this.#grid,
      make("p", { class: "hint" }, "The picture of a code is what the decoder makes of that code at every place."),
    );
  }

  /** Show which code is at the place. */
  update() {
    const code = this.#explorer.codes?.[this.#place()] ?? -1;
    const chosen = this.#cells[code];
    for (const cell of this.#cells) {
      const selected = String(cell === chosen);
      if (cell.getAttribute("aria-selected") !== selected) {
        cell.setAttribute("aria-selected", selected);
      }
    }
    stopAt(this.#cells, chosen ?? this.#cells[0]);
    if (chosen !== undefined && !this.#grid.contains(document.activeElement)) {
      this.#grid.scrollTop = chosen.offsetTop - this.#grid.offsetTop - this.#grid.clientHeight / 2;
    }
  }

  /** Draw what each code looks like, some at a time. */
  async drawPictures() {
    const { codebook, model } = this.#explorer;
    if (codebook === null) {
      return;
    }
    const { image } = model.contract;
    const most = Math.min(codebook.codes, MOST_PICTURES);
    for (let from = 0; from < most; from += AT_A_TIME) {
      const some = Array.from({ length: Math.min(AT_A_TIME, most - from) }, (_, at) => from + at);
      const latents = new Float32Array(some.length * model.size);
      some.forEach((code, at) => latents.set(codebook.latent(new Int32Array(codebook.places).fill(code)), at * model.size));
      const pictures = bytesOf(await model.decode(latents), image);
      some.forEach((code, at) => {
        const canvas = make("canvas", { "aria-hidden": "true" });
        drawPixels(canvas, pictures[at], image);
        this.#cells[code].prepend(canvas);
      });
      // Whatever else waits goes first.
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
}
