/*
 * Before anything is shown: the colours that were chosen last, and a sentence where the page itself cannot start.
 * A classic script, since modules are what fails when the page is opened as a file.
 */
(() => {
  "use strict";

  try {
    const theme = localStorage.getItem("aedeploy-theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset["theme"] = theme;
    }
  } catch {
    // A browser that keeps nothing: the system's own colours.
  }

  // A module that is not there gives an error event on the element that asked for it, and no exception.
  const failed = (/** @type {Event} */ event) => {
    const messages = document.getElementById("messages");
    const work = document.getElementById("work");
    if (!(event.target instanceof HTMLScriptElement) || messages === null || work === null) {
      return;
    }
    const message = document.createElement("p");
    message.className = "message";
    message.textContent =
      location.protocol === "file:"
        ? "Browsers run no model from a file: run  python -m http.server  in this folder, and open the address that it prints."
        : "A file of this page could not be loaded: copy the whole folder, and serve it again.";
    messages.replaceChildren(message);
    work.dataset["state"] = "refused";
  };
  addEventListener("error", failed, true);
})();
