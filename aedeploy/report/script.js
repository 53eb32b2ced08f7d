// The page is complete without this. It lets points say what they are, and adds sliders that go through strips.
(() => {
  "use strict";

  const NEAR = 24; // pixels of the page
  const SIDE = 84; // of an image that is shown large
  const MILLISECONDS = 220;

  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const made = (name, className, parent) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (parent) parent.append(element);
    return element;
  };

  const data = (figure, kind) => {
    const found = figure.querySelector(`script[data-${kind}]`);
    return found && JSON.parse(found.textContent);
  };

  // An element that shows one image of a sheet at a time.
  const cellOf = (sheet, parent) => {
    const cell = made("div", "cell", parent);
    const longest = Math.max(sheet.width, sheet.height);
    const scale = longest < SIDE ? Math.max(1, Math.round(SIDE / longest)) : SIDE / longest;
    cell.style.width = `${Math.round(sheet.width * scale)}px`;
    cell.style.height = `${Math.round(sheet.height * scale)}px`;
    cell.style.backgroundSize = `${100 * sheet.columns}% ${100 * sheet.rows}%`;
    cell.classList.toggle("squares", longest <= 64);
    return cell;
  };

  const share = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0);

  const show = (cell, sheet, row, column) => {
    cell.style.backgroundPosition = `${share(column, sheet.columns)}% ${share(row, sheet.rows)}%`;
  };

  // Points: the nearest to the pointer, or the next one in the direction of an arrow key.
  const answer = (figure, { sheet, points, names, numbers, of }) => {
    const plot = figure.querySelector(".plot");
    plot.classList.add("answers");
    plot.tabIndex = 0;
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-label", "Points of the picture: the arrow keys go from one to the next.");
    const hint = made("p", "hint");
    hint.textContent = "Point at a dot, touch it, or go from one to the next by the arrow keys: its image is shown.";
    if (points.length < of) {
      const [some, all] = [points.length, of].map((count) => count.toLocaleString("en"));
      hint.textContent += ` Not every point answers: ${some} of ${all} do.`;
    }
    // What is shown, for who hears the page: always there, and no part of the plot, so that a change of it is read out.
    const spoken = made("div", "spoken");
    spoken.setAttribute("role", "status");
    plot.parentElement.after(hint, spoken);
    const ring = made("div", "ring", plot);
    const tip = made("div", "tip", plot);
    const cell = cellOf(sheet, tip);
    const said = made("div", "said", tip);
    for (const seen of [ring, tip]) seen.setAttribute("aria-hidden", "true");
    tip.style.setProperty("--sheet", `url("${sheet.uri}")`);
    let current = -1;
    let byKey = false;

    const hide = () => {
      ring.hidden = tip.hidden = true;
      spoken.textContent = "";
      current = -1;
    };
    const point = (at, key = false) => {
      byKey = key;
      const { clientWidth: width, clientHeight: height } = plot;
      const [x, y] = [points[at][0] * width, points[at][1] * height];
      if (at !== current) {
        current = at;
        show(cell, sheet, Math.floor(at / sheet.columns), at % sheet.columns);
        said.textContent = names[at];
        const number = `image ${numbers[at]}`;
        spoken.textContent = names[at] === number ? number : `${number}: ${names[at]}`;
        tip.dataset.point = at;
      }
      ring.hidden = tip.hidden = false;
      ring.style.left = `${x}px`;
      ring.style.top = `${y}px`;
      const left = x + 14 + tip.offsetWidth > width ? x - 14 - tip.offsetWidth : x + 14;
      const top = y - 14 - tip.offsetHeight < 0 ? y + 14 : y - 14 - tip.offsetHeight;
      tip.style.left = `${Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
      tip.style.top = `${Math.max(0, Math.min(top, height - tip.offsetHeight))}px`;
      // A pointer is where the point is; the keys go on to what is out of sight.
      if (key) ring.scrollIntoView({ block: "nearest", inline: "nearest", behavior: still.matches ? "instant" : "smooth" });
    };
    const nearest = (x, y, most) => {
      const { clientWidth: width, clientHeight: height } = plot;
      let [best, least] = [-1, most * most];
      points.forEach(([across, down], at) => {
        const distance = (across * width - x) ** 2 + (down * height - y) ** 2;
        if (distance <= least) [best, least] = [at, distance];
      });
      return best;
    };
    // Of the quarter of the plane that an arrow points into, the nearest.
    const next = (along, across) => {
      const { clientWidth: width, clientHeight: height } = plot;
      let [best, least] = [-1, Infinity];
      points.forEach((other, at) => {
        const dx = (other[0] - points[current][0]) * width;
        const dy = (other[1] - points[current][1]) * height;
        const ahead = dx * along + dy * across;
        const aside = Math.abs(dx * across) + Math.abs(dy * along);
        if (at === current || ahead <= 0 || aside > ahead) return;
        if (dx * dx + dy * dy < least) [best, least] = [at, dx * dx + dy * dy];
      });
      return best;
    };
    const under = (event) => {
      const box = plot.getBoundingClientRect();
      const at = nearest(event.clientX - box.left, event.clientY - box.top, NEAR);
      if (at < 0) hide();
      else point(at);
    };
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    plot.addEventListener("pointermove", (event) => event.pointerType !== "touch" && under(event));
    plot.addEventListener("click", under);
    // Also when the plot scrolls away from under a pointer that rests, as the keys make it.
    plot.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && !byKey && hide());
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      const arrow = arrows[event.key];
      if (!arrow) return;
      event.preventDefault();
      const at = current < 0 ? nearest(plot.clientWidth / 2, plot.clientHeight / 2, Infinity) : next(...arrow);
      if (at >= 0) point(at, true);
    });
    hide();
  };

  // Strips: all of them at one step.
  const play = (figure, { sheet, names, steps }) => {
    const title = figure.querySelector("h3").textContent;
    const player = made("div", "player");
    figure.querySelector(".slide").after(player);
    player.style.setProperty("--sheet", `url("${sheet.uri}")`);
    player.setAttribute("role", "group");
    player.setAttribute("aria-label", `${title}, step by step`);
    const row = made("div", "cells", player);
    const cells = names.map((name) => {
      const strip = made("figure", "strip", row);
      const cell = cellOf(sheet, strip);
      cell.setAttribute("role", "img");
      made("figcaption", "", strip).textContent = name;
      return cell;
    });
    const controls = made("div", "controls", player);
    const label = made("label", "", controls);
    label.textContent = "Step";
    const slider = made("input", "", controls);
    label.htmlFor = slider.id = `${figure.id}-step`;
    Object.assign(slider, { type: "range", min: 0, max: steps.length - 1, step: 1, value: 0 });
    const output = made("output", "", controls);
    output.htmlFor = slider.id;

    const update = () => {
      const at = Number(slider.value);
      output.value = steps[at];
      slider.setAttribute("aria-valuetext", steps[at]);
      cells.forEach((cell, strip) => {
        show(cell, sheet, strip, at);
        cell.setAttribute("aria-label", `${names[strip]}, step ${steps[at]}`);
      });
    };
    update();

    const button = made("button", "", null);
    Object.assign(button, { type: "button", textContent: "Play" });
    let [timer, way] = [0, 1];
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      button.textContent = "Play";
    };
    const advance = () => {
      const at = Number(slider.value);
      if (at + way < 0 || at + way >= steps.length) way = -way;
      slider.value = at + way;
      update();
    };
    button.addEventListener("click", () => {
      if (timer) return stop();
      button.textContent = "Stop";
      timer = setInterval(advance, MILLISECONDS);
    });
    slider.addEventListener("input", () => {
      stop();
      update();
    });
    // Nothing moves by itself, and for who wants no motion not even when asked.
    const offer = () => {
      stop();
      if (still.matches) button.remove();
      else controls.prepend(button);
    };
    still.addEventListener("change", offer);
    if (steps.length > 1) offer();
  };

  for (const figure of document.querySelectorAll("main figure")) {
    const [points, frames] = [data(figure, "points"), data(figure, "frames")];
    if (points) answer(figure, points);
    if (frames) play(figure, frames);
  }

  // Who has no pointer slides a box by the arrow keys, where it has the focus.
  for (const box of document.querySelectorAll(".slide")) {
    if (box.scrollWidth <= box.clientWidth || box.querySelector(".answers")) continue;
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "A picture that is wider than the window");
  }

  // On paper everything is open; what was not is closed again afterwards.
  const unfolded = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      unfolded.push(details);
    }
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded.splice(0)) details.open = false;
  });
})();
