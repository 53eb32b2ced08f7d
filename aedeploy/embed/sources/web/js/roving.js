/** A grid of cells that is one stop of the Tab key: arrows walk in it. */

/**
 * @param {HTMLElement} grid whose cells are all elements with `data-cell`, in order, in rows
 * @param {(cell: HTMLElement) => void} choose called for the cell that was clicked or walked to
 */
export function rovingGrid(grid, choose) {
  const cells = () => /** @type {HTMLElement[]} */ ([...grid.querySelectorAll("[data-cell]")]);
  grid.addEventListener("click", (event) => {
    const cell = event.target instanceof Element ? event.target.closest("[data-cell]") : null;
    if (cell instanceof HTMLElement) {
      stopAt(cells(), cell);
      choose(cell);
    }
  });
  grid.addEventListener("keydown", (event) => {
    const all = cells();
    const at = all.findIndex((cell) => cell === event.target);
    const columns = columnsOf(all);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: all.length - 1 };
    const next = all[to[/** @type {keyof typeof to} */ (event.key)] ?? -1];
    if (event.key in to) {
      event.preventDefault();
    }
    if (at >= 0 && next !== undefined) {
      stopAt(all, next);
      next.focus();
      choose(next);
    }
  });
}

/**
 * Have Tab stop at one of the cells.
 *
 * @param {HTMLElement[]} cells
 * @param {HTMLElement} chosen
 */
export function stopAt(cells, chosen) {
  for (const cell of cells) {
    cell.tabIndex = cell === chosen ? 0 : -1;
  }
}

/**
 * How many cells there are beside one another, as they are laid out.
 *
 * @param {HTMLElement[]} cells
 * @returns {number}
 */
function columnsOf(cells) {
  const next = cells.findIndex((cell) => cell.offsetTop > (cells[0]?.offsetTop ?? 0));
  return next < 0 ? cells.length : next;
}
