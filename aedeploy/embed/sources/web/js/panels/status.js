/** Where the graphs run, and the colours of the page. */

import { BACKEND_NAMES } from "../engine.js";
import { byId } from "../page.js";

/** @import { Backend } from "../engine.js" */

/**
 * @param {(backend: Backend) => Promise<string | null>} change gives the reason why it stayed as it was, if it did
 */
export function mountBackends(change) {
  const set = byId("backends", HTMLFieldSetElement);
  set.disabled = false;
  set.addEventListener("change", async (event) => {
    const { value } = /** @type {HTMLInputElement} */ (event.target);
    const focused = document.activeElement;
    set.disabled = true;
    say(`Loading ${BACKEND_NAMES[/** @type {Backend} */ (value)]} …`);
    const reason = await change(/** @type {Backend} */ (value));
    set.disabled = false;
    if (focused instanceof HTMLElement && set.contains(focused)) {
      focused.focus();
    }
    say(reason ?? "");
  });
}

/**
 * Show which backend runs, also in the address, so that it is the one of the next visit.
 *
 * @param {Backend} backend
 */
export function showBackend(backend) {
  for (const input of byId("backends").querySelectorAll("input")) {
    input.checked = input.value === backend;
  }
  const address = new URL(location.href);
  if (backend === "wasm") {
    address.searchParams.delete("backend");
  } else {
    address.searchParams.set("backend", backend);
  }
  history.replaceState(null, "", address);
}

/** @param {string} sentence on the backend; none where all is as it was asked for */
export function say(sentence) {
  byId("backend-note").textContent = sentence;
}

/** The switch between light and dark; until it is used, the system's own colours. */
export function mountTheme() {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset["theme"] ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  show();
  system.addEventListener("change", show);
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset["theme"] = theme;
    show();
    try {
      localStorage.setItem("aedeploy-theme", theme);
    } catch {
      // A browser that keeps nothing: until the page is closed, then.
    }
  });
}
