/** A slider for each number of a latent, or of one place of it. */

import { byId, figure, make } from "../page.js";

/** @import { Explorer } from "../explorer.js" */
/** @import { Spread } from "../spread.js" */

/** So many are shown until all are asked for. */
const FEW = 32;

/** Of its range, one press of an arrow key. */
const STEPS = 200;

const ORDERS = /** @type {const} */ ({
  number: "by number",
  spread: "most varied first",
  size: "largest first",
});

/**
 * @typedef {{ row: HTMLElement, input: HTMLInputElement, value: HTMLElement, at: number }} Slider
 */

export class Sliders {
  #explorer;
  #spread;

  /** @type {Slider[]} */
  #sliders = [];

  #rows = make("div", { class: "rows" });
  #title = make("h3", { id: "sliders-title" });
  #order = make("select", { "aria-label": "Order of the sliders" });
  #more = make("button", { type: "button", class: "quiet" });
  #all = false;

  /** Which numbers of the latent they are for. @type {number[]} */
  #numbers = [];

  /**
   * @param {Explorer} explorer
   * @param {() => Spread | null} spread null until the samples are encoded
   */
  constructor(explorer, spread) {
    this.#explorer = explorer;
    this.#spread = spread;
    for (const [value, text] of Object.entries(ORDERS)) {
      this.#order.append(make("option", { value }, text));
    }
    this.#order.value = explorer.model.contract.latent?.masked ? "size" : "number";
    this.#order.addEventListener("change", () => this.#build());
    this.#more.addEventListener("click", () => {
      this.#all = !this.#all;
      this.#build();
    });
    const panel = byId("sliders");
    panel.setAttribute("role", "group");
    panel.setAttribute("aria-labelledby", "sliders-title");
    panel.append(make("div", { class: "heading" }, this.#title, this.#order), this.#rows, this.#more);
    explorer.addEventListener("latent", () => this.#update());
    explorer.addEventListener("encoded", () => this.#order.value === "size" && this.#build());
  }

  /**
   * Show sliders for these numbers of the latent, and no others.
   *
   * @param {string} title
   * @param {number[]} numbers
   */
  show(title, numbers) {
    this.#title.textContent = title;
    this.#numbers = numbers;
    this.#order.hidden = numbers.length <= 8;
    this.#build();
  }

  #build() {
    const shown = this.#all ? this.#ordered() : this.#ordered().slice(0, FEW);
    this.#more.hidden = this.#numbers.length <= FEW;
    this.#more.textContent = this.#all ? `Show ${FEW} of them` : `Show all ${this.#numbers.length}`;
    // Kept where there are as many: who moves one by the keyboard keeps it under their fingers.
    if (shown.length !== this.#sliders.length) {
      this.#sliders = shown.map((_, at) => this.#slider(at));
      this.#rows.replaceChildren(...this.#sliders.map(({ row }) => row));
    }
    for (const [at, slider] of this.#sliders.entries()) {
      slider.at = shown[at];
      const label = `${this.#numbers.indexOf(slider.at) + 1}`;
      slider.row.firstElementChild?.replaceChildren(label);
      slider.input.setAttribute("aria-label", `Number ${label}`);
      this.#range(slider);
    }
    this.#update();
  }

  /** @returns {number[]} */
  #ordered() {
    const spread = this.#spread();
    const { latent } = this.#explorer;
    /** @type {(at: number) => number} */
    const weight = {
      number: () => 0,
      spread: (/** @type {number} */ at) => spread?.deviation(at) ?? 0,
      size: (/** @type {number} */ at) => Math.abs(latent[at]),
    }[/** @type {keyof typeof ORDERS} */ (this.#order.value)];
    return this.#numbers.toSorted((one, other) => weight(other) - weight(one));
  }

  /**
   * @param {number} row
   * @returns {Slider}
   */
  #slider(row) {
    const input = make("input", { type: "range", id: `number-${row}` });
    const value = make("output", { for: input.id });
    const label = make("label", { for: input.id });
    const slider = { row: make("div", { class: "slider" }, label, input, value), input, value, at: 0 };
    input.addEventListener("input", () => void this.#explorer.setNumber(slider.at, Number(input.value)));
    return slider;
  }

  /** @param {Slider} slider */
  #range({ input, at }) {
    const spread = this.#spread();
    const own = this.#explorer.encoded?.latent[at] ?? 0;
    let [low, high] = spread?.range(at) ?? [-1, 1];
    // Room beyond the samples, and for an image that is unlike them.
    const room = 0.1 * (high - low) || 1;
    [low, high] = [Math.min(low - room, own), Math.max(high + room, own)];
    input.min = String(low);
    input.max = String(high);
    input.step = String((high - low) / STEPS);
  }

  #update() {
    const { latent, encoded } = this.#explorer;
    for (const slider of this.#sliders) {
      const { row, input, value, at } = slider;
      const own = encoded?.latent[at] ?? 0;
      if (Math.min(own, latent[at]) < Number(input.min) || Math.max(own, latent[at]) > Number(input.max)) {
        this.#widen(slider, Math.min(own, latent[at]), Math.max(own, latent[at]));
      }
      const [low, high] = [Number(input.min), Number(input.max)];
      const share = (/** @type {number} */ number) => String(Math.min(Math.max((number - low) / (high - low), 0), 1));
      input.value = String(latent[at]);
      value.textContent = figure(latent[at]);
      input.setAttribute("aria-valuetext", figure(latent[at]));
      row.classList.toggle("zero", latent[at] === 0);
      row.classList.toggle("negative", latent[at] < 0);
      row.style.setProperty("--from", share(Math.min(latent[at], 0)));
      row.style.setProperty("--to", share(Math.max(latent[at], 0)));
      row.style.setProperty("--own", share(own));
      const deviation = encoded?.logvar ? Math.exp(encoded.logvar[at] / 2) : 0;
      row.style.setProperty("--likely-from", share(own - deviation));
      row.style.setProperty("--likely-to", share(own + deviation));
      if (deviation > 0) {
        row.title = `the encoder says ${figure(own)} ± ${figure(deviation)}`;
      }
    }
  }

  /**
   * @param {Slider} slider
   * @param {number} low
   * @param {number} high
   */
  #widen({ input }, low, high) {
    input.min = String(Math.min(low, Number(input.min)));
    input.max = String(Math.max(high, Number(input.max)));
    input.step = String((Number(input.max) - Number(input.min)) / STEPS);
  }

  /** The spread of the samples is known now. */
  rangesChanged() {
    this.#build();
  }
}
