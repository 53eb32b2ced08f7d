/** A latent that has a place for each part of the image: a map of the places, and sliders for the one that is chosen. */

import { announce, byId, make } from "../page.js";
import { rovingGrid, stopAt } from "../roving.js";
import { Codes } from "./codes.js";

/** @import { Explorer } from "../explorer.js" */
/** @import { Spread } from "../spread.js" */
/** @import { Sliders } from "./sliders.js" */

/** A cell narrower than this, in pixels, has no room for a number. */
const LEGIBLE = 26;

/** So many cells beside one another leave no room between them. */
const DENSE = 16;

export class Places {
  #explorer;
  #spread;
  #sliders;

  /** @type {Codes | null} */
  #codes = null;

  #view = make("select", { "aria-label": "What the colours show" });
  #grid = make("div", { class: "grid", role: "grid", "aria-label": "Places of the latent" });

  /** @type {HTMLElement[]} */
  #cells = [];

  /** What each cell says, so that only those are drawn again that changed. @type {string[]} */
  #labels = [];

  #place = 0;
  #channels = 1;
  #height = 1;
  #width = 1;

  /**
   * @param {Explorer} explorer
   * @param {() => Spread | null} spread
   * @param {Sliders} sliders
   */
  constructor(explorer, spread, sliders) {
    [this.#channels, this.#height, this.#width] = explorer.model.contract.latent?.shape ?? [];
    this.#explorer = explorer;
    this.#spread = spread;
    this.#sliders = sliders;
    this.#buildView();
    this.#buildGrid();
    const panel = byId("places");
    panel.hidden = false;
    panel.append(make("div", { class: "heading" }, make("h3", {}, "Places"), this.#view), this.#grid);
    explorer.addEventListener("latent", () => this.#update());
    this.choose(Math.floor(this.#height / 2) * this.#width + Math.floor(this.#width / 2));
  }

  /** Offer the codes, where the latent is made of such. */
  async showCodes() {
    if (this.#explorer.codebook !== null) {
      this.#codes = new Codes(this.#explorer, () => this.#place);
      this.#codes.update();
      await this.#codes.drawPictures();
    }
  }

  /** The spread of the samples is known. */
  rangesChanged() {
    this.#update();
  }

  /** @param {number} place */
  choose(place) {
    const cell = this.#cells[place];
    stopAt(this.#cells, cell);
    for (const other of this.#cells) {
      other.setAttribute("aria-selected", String(other === cell));
    }
    this.#place = place;
    const [row, column] = [Math.floor(place / this.#width), place % this.#width];
    const places = this.#height * this.#width;
    this.#sliders.show(
      `Numbers at row ${row + 1}, column ${column + 1}`,
      Array.from({ length: this.#channels }, (_, channel) => channel * places + place),
    );
    this.#codes?.update();
    this.#markPatch(row, column);
  }

  #buildView() {
    if (this.#explorer.model.contract.latent?.codebook_size !== null) {
      this.#view.append(make("option", { value: "code" }, "the code"));
    }
    this.#view.append(make("option", { value: "length" }, "the length"));
    for (let channel = 0; channel < this.#channels; channel += 1) {
      this.#view.append(make("option", { value: String(channel) }, `number ${channel + 1}`));
    }
    this.#view.addEventListener("change", () => this.#update());
  }

  #buildGrid() {
    this.#grid.style.setProperty("--columns", String(this.#width));
    this.#grid.classList.toggle("dense", this.#width > DENSE);
    for (let row = 0; row < this.#height; row += 1) {
      const cells = Array.from({ length: this.#width }, (_, column) =>
        make("div", { role: "gridcell", "data-cell": String(row * this.#width + column) }),
      );
      this.#cells.push(...cells);
      this.#grid.append(make("div", { role: "row" }, ...cells));
    }
    rovingGrid(this.#grid, (cell) => {
      this.choose(Number(cell.dataset["cell"]));
      announce(cell.getAttribute("aria-label") ?? "");
    });
  }

  #update() {
    const { codes } = this.#explorer;
    const shows = this.#view.value;
    const numbers = shows === "code" && this.#grid.clientWidth / this.#width >= LEGIBLE;
    for (const [place, cell] of this.#cells.entries()) {
      const where = `row ${Math.floor(place / this.#width) + 1}, column ${(place % this.#width) + 1}`;
      const code = codes?.[place] ?? -1;
      const value = shows === "code" ? code : this.#value(shows, place);
      const what = shows === "code" ? (code < 0 ? "no code" : `code ${code}`) : `${value.toFixed(2)} of the range`;
      const label = `${where}: ${what}`;
      if (label === this.#labels[place]) {
        continue;
      }
      this.#labels[place] = label;
      cell.setAttribute("aria-label", label);
      cell.textContent = numbers && code >= 0 ? String(code) : "";
      cell.classList.toggle("code", shows === "code");
      cell.classList.toggle("negative", value < 0);
      // Hues that are far apart for codes that are near: their numbers mean nothing.
      cell.style.setProperty("--hue", String((code * 137.5) % 360));
      cell.style.setProperty("--share", shows === "code" ? "1" : String(Math.min(Math.abs(value), 1)));
    }
    this.#codes?.update();
  }

  /**
   * @param {string} shows `length`, or which channel
   * @param {number} place
   * @returns {number} relative to the samples: 1 is as large as any
   */
  #value(shows, place) {
    const places = this.#height * this.#width;
    const relative = (/** @type {number} */ channel) => {
      const at = channel * places + place;
      const [low, high] = this.#spread()?.range(at) ?? [-1, 1];
      return this.#explorer.latent[at] / (Math.max(Math.abs(low), Math.abs(high)) || 1);
    };
    if (shows !== "length") {
      return relative(Number(shows));
    }
    const squares = Array.from({ length: this.#channels }, (_, channel) => relative(channel) ** 2);
    return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / this.#channels);
  }

  /**
   * Frame what lies at a place in the picture that comes out.
   *
   * @param {number} row
   * @param {number} column
   */
  #markPatch(row, column) {
    const patch = byId("patch");
    patch.hidden = false;
    patch.style.setProperty("--left", String(column / this.#width));
    patch.style.setProperty("--top", String(row / this.#height));
    patch.style.setProperty("--width", String(1 / this.#width));
    patch.style.setProperty("--height", String(1 / this.#height));
  }
}
