/** The page's elements, and what all panels do with them. */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    element.setAttribute(attribute, value);
  }
  element.append(...children);
  return element;
}

/**
 * An element of index.html.
 *
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @param {new () => Kind} [kind]
 * @returns {Kind}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof (kind ?? HTMLElement))) {
    throw new Error(`The page has no ${id}: index.html is of another version.`);
  }
  return /** @type {Kind} */ (element);
}

/**
 * Tell somebody who does not see the page what became of what they did; of many in a row, the last.
 *
 * @param {string} sentence
 */
export function announce(sentence) {
  clearTimeout(announcing);
  announcing = setTimeout(() => (byId("announce").textContent = sentence), 250);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let announcing;

/**
 * Say that something failed, until it is closed or something else is said.
 *
 * @param {string} sentence
 * @param {boolean} [lasting] whether it cannot be closed
 */
export function complain(sentence, lasting = false) {
  const message = make("p", { class: "message" }, make("span", {}, sentence));
  if (!lasting) {
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Close this message" }, "Close");
    close.addEventListener("click", () => message.remove());
    message.append(close);
  }
  byId("messages").replaceChildren(message);
}

/** Nothing is wrong any more. */
export function stopComplaining() {
  byId("messages").replaceChildren();
}

/**
 * @param {unknown} error
 * @returns {string}
 */
export function sentenceOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * A number in a column of such: with a minus that is as wide as a plus.
 *
 * @param {number} value
 * @param {number} [digits] behind the point
 * @returns {string}
 */
export function figure(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

/**
 * Have a file saved.
 *
 * @param {string} name
 * @param {Blob} blob
 */
export function save(name, blob) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  // The browser has what it needs once the click is dealt with.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
