/** The plane of a latent of two numbers: a map to walk on, with the latents of real images as points. */

import { contextOf, drawTiles, bytesOf } from "../draw.js";
import { announce, byId, figure, make } from "../page.js";

/** @import { Points } from "../contract.js" */
/** @import { Explorer } from "../explorer.js" */

/** @typedef {{ latents: Float32Array, labels: Int32Array | null, names: string[] }} Cloud two numbers a point */

/** Tiles of the decoded plane, across and down. */
const TILES = 15;

/** Steps of the arrow keys, across the whole map. */
const STEPS = 80;

/** As many colours as spaces.css has; more labels share them. */
const COLOURS = 10;

/** Of a point that has no label. */
const UNLABELLED = -1;
const GREY = "#c8cacd";

export class LatentMap {
  #explorer;

  /** @type {Cloud} */
  #cloud = { latents: new Float32Array(), labels: null, names: [] };

  /** What is shown of the plane: left, right, bottom, top. */
  #edges = [-1, 1, -1, 1];

  /** Labels that are not shown. @type {Set<number>} */
  #hidden = new Set();

  #tiles = make("canvas", { class: "tiles", "aria-hidden": "true" });
  #points = make("canvas", { class: "points", "aria-hidden": "true" });
  #cursor = make("div", { class: "cursor", "aria-hidden": "true" });
  #own = make("div", { class: "own", "aria-hidden": "true" });
  #plane = make("div", {
    class: "plane",
    tabindex: "0",
    role: "application",
    "aria-roledescription": "map",
    "aria-label": "Map of the latent plane",
    "aria-describedby": "map-about",
  });
  #legend = make("ul", { class: "legend", "aria-label": "Labels of the points" });
  #about = make("p", { id: "map-about", class: "hint" });

  /** Whichever drawing of tiles began last goes on. */
  #drawing = 0;

  /** @param {Explorer} explorer */
  constructor(explorer) {
    this.#explorer = explorer;
    this.#plane.append(this.#tiles, this.#points, this.#own, this.#cursor);
    const panel = byId("map");
    panel.hidden = false;
    const below = make("div", { class: "below" }, this.#legend, this.#layers());
    panel.append(this.#plane, below, this.#about);
    explorer.addEventListener("latent", () => this.#mark());
    this.#listen();
    new ResizeObserver(() => this.#drawPoints()).observe(this.#plane);
  }

  /**
   * @param {Cloud} cloud
   * @param {string} about what the points are
   */
  show(cloud, about) {
    this.#cloud = cloud;
    this.#about.textContent = `${about} Click, drag, or walk with the arrow keys (Shift: farther; Home: back to the image).`;
    this.#edges = edgesOf(cloud.latents);
    this.#buildLegend();
    this.#drawPoints();
    this.#mark();
    return this.#drawTiles();
  }

  #listen() {
    const plane = this.#plane;
    const walkTo = (/** @type {PointerEvent} */ event) => {
      const box = plane.getBoundingClientRect();
      this.#walk(...this.#at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
    };
    plane.addEventListener("pointerdown", (event) => {
      plane.setPointerCapture(event.pointerId);
      walkTo(event);
    });
    plane.addEventListener("pointermove", (event) => plane.hasPointerCapture(event.pointerId) && walkTo(event));
    plane.addEventListener("keydown", (event) => {
      const [left, right, bottom, top] = this.#edges;
      const [dx, dy] = [(right - left) / STEPS, (top - bottom) / STEPS];
      const steps = { ArrowLeft: [-dx, 0], ArrowRight: [dx, 0], ArrowUp: [0, dy], ArrowDown: [0, -dy] };
      const step = steps[/** @type {keyof typeof steps} */ (event.key)];
      if (step !== undefined) {
        event.preventDefault();
        const far = event.shiftKey ? 5 : 1;
        const [x, y] = this.#explorer.latent;
        this.#walk(x + far * step[0], y + far * step[1]);
      } else if (event.key === "Home") {
        event.preventDefault();
        void this.#explorer.reset();
      }
    });
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #walk(x, y) {
    const [left, right, bottom, top] = this.#edges;
    const inside = [Math.min(Math.max(x, left), right), Math.min(Math.max(y, bottom), top)];
    void this.#explorer.setLatent(Float32Array.from(inside));
    announce(`${figure(inside[0])}, ${figure(inside[1])}`);
  }

  /**
   * What lies where on the map.
   *
   * @param {number} across from the left, 0 to 1
   * @param {number} down from the top, 0 to 1
   * @returns {[number, number]}
   */
  #at(across, down) {
    const [left, right, bottom, top] = this.#edges;
    return [left + across * (right - left), top - down * (top - bottom)];
  }

  /**
   * @param {ArrayLike<number>} latent
   * @returns {[number, number]} across and down
   */
  #where(latent) {
    const [left, right, bottom, top] = this.#edges;
    return [(latent[0] - left) / (right - left), (top - latent[1]) / (top - bottom)];
  }

  #mark() {
    for (const [element, latent] of /** @type {const} */ ([
      [this.#cursor, this.#explorer.latent],
      [this.#own, this.#explorer.encoded?.latent ?? this.#explorer.latent],
    ])) {
      const [across, down] = this.#where(latent);
      element.style.setProperty("--across", String(across));
      element.style.setProperty("--down", String(down));
    }
  }

  #buildLegend() {
    const { labels, names } = this.#cloud;
    const shown = labels === null ? [] : names;
    this.#legend.replaceChildren(
      ...shown.map((name, label) => {
        const button = make("button", { type: "button", class: `label c${label % COLOURS}`, "aria-pressed": "true" }, name);
        button.addEventListener("click", () => {
          if (!this.#hidden.delete(label)) {
            this.#hidden.add(label);
          }
          button.setAttribute("aria-pressed", String(!this.#hidden.has(label)));
          this.#drawPoints();
        });
        return make("li", {}, button);
      }),
    );
  }

  /** What of the map is shown at all. */
  #layers() {
    const buttons = Object.entries({ tiles: "Pictures", points: "Points" }).map(([layer, name]) => {
      const button = make("button", { type: "button", "aria-pressed": "true" }, name);
      button.addEventListener("click", () => {
        const hidden = this.#plane.classList.toggle(`no-${layer}`);
        button.setAttribute("aria-pressed", String(!hidden));
      });
      return make("li", {}, button);
    });
    return make("ul", { class: "legend", "aria-label": "What the map shows" }, ...buttons);
  }

  #drawPoints() {
    const canvas = this.#points;
    const scale = devicePixelRatio;
    const side = Math.round(this.#plane.clientWidth * scale);
    canvas.width = side;
    canvas.height = side;
    const context = contextOf(canvas);
    const style = getComputedStyle(this.#plane);
    const colours = Array.from({ length: COLOURS }, (_, at) => style.getPropertyValue(`--label-${at}`));
    const { latents, labels } = this.#cloud;
    const radius = Math.max(side / 220, 1.75 * scale);
    context.lineWidth = 0.75 * scale;
    context.strokeStyle = "#000";
    for (let at = 0; at < latents.length / 2; at += 1) {
      const label = labels?.[at] ?? UNLABELLED;
      if (!this.#hidden.has(label)) {
        const [across, down] = this.#where(latents.subarray(2 * at, 2 * at + 2));
        context.fillStyle = label === UNLABELLED ? GREY : colours[label % COLOURS];
        context.beginPath();
        context.arc(across * side, down * side, radius, 0, 2 * Math.PI);
        context.fill();
        context.stroke();
      }
    }
  }

  /** What the decoder makes of the plane, a row at a time. */
  async #drawTiles() {
    const drawing = (this.#drawing += 1);
    const { model } = this.#explorer;
    const { image } = model.contract;
    /** @type {Uint8Array[]} */
    const tiles = [];
    for (let row = 0; row < TILES && drawing === this.#drawing; row += 1) {
      const places = Array.from({ length: TILES }, (_, column) => this.#at((column + 0.5) / TILES, (row + 0.5) / TILES));
      tiles.push(...bytesOf(await model.decode(Float32Array.from(places.flat())), image));
      // Whatever else waits goes first.
      await new Promise((resolve) => setTimeout(resolve));
    }
    if (drawing === this.#drawing) {
      drawTiles(this.#tiles, tiles, TILES, image);
    }
  }
}

/**
 * A square of the plane that has nearly all points in it: far ones would leave the rest no room.
 *
 * @param {Float32Array} latents
 * @returns {[number, number, number, number]}
 */
function edgesOf(latents) {
  const [left, right] = range(latents.filter((_, at) => at % 2 === 0));
  const [bottom, top] = range(latents.filter((_, at) => at % 2 === 1));
  return [left, right, bottom, top];
}

/**
 * @param {Float32Array} values
 * @returns {[number, number]}
 */
function range(values) {
  const sorted = values.toSorted();
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  const room = 0.06 * (at(0.995) - at(0.005)) || 1;
  return [at(0.005) - room, at(0.995) + room];
}

/**
 * @param {Points} record
 * @param {(record: import("../contract.js").FileRecord) => Promise<Uint8Array<ArrayBuffer>>} fetchFile
 * @returns {Promise<Cloud>}
 */
export async function fetchCloud(record, fetchFile) {
  /** @type {{ labels: string[], points: [number, number, number | null][] }} */
  const { labels, points } = JSON.parse(new TextDecoder().decode(await fetchFile(record)));
  return {
    latents: Float32Array.from(points.flatMap(([x, y]) => [x, y])),
    labels: labels.length > 0 ? Int32Array.from(points, ([, , label]) => label ?? UNLABELLED) : null,
    names: labels,
  };
}
