"""What tests have the page tell of itself, in JavaScript."""

#: What has the focus, and whether that is to be seen.
FOCUSED = """
() => {
  const element = document.activeElement;
  const drawn = element.matches("input.unseen, .segments input") ? element.parentElement : element;
  const box = drawn.getBoundingClientRect();
  const isOutlined = (one) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(one);
    return outlineStyle !== "none" && outlineWidth !== "0px";
  };
  return {
    id: element.id,
    body: element === document.body,
    seen: box.width > 4 && box.height > 4,
    outlined: [element, element.parentElement, element.nextElementSibling].some((one) => one && isOutlined(one)),
    name: element.ariaLabel || element.labels?.[0]?.textContent || element.textContent,
  };
}
"""

#: Texts whose contrast with what is behind them is below 4.5, as WCAG measures it; disabled controls may be.
UNREADABLE = """
() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const linear = (byte) => (byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [red, green, blue] = rgba(colour).map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    const colours = [];
    for (let one = element; one; one = one.parentElement) {
      colours.push(getComputedStyle(one).backgroundColor);
    }
    return colours.find((colour) => rgba(colour)[3] === 255) ?? "white";
  };
  const hasText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((element) => hasText(element) && element.checkVisibility())
    .filter((element) => !element.closest("[disabled], .unseen, .skip, script, noscript"))
    .map((element) => {
      const both = [getComputedStyle(element).color, behind(element)].map(luminance);
      return [element.outerHTML.slice(0, 120), (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05)];
    })
    .filter(([, contrast]) => contrast < 4.5);
}
"""

#: What is drawn on the canvas that a selector finds: its width, its height, and RGBA bytes.
DRAWN = """
(selector) => {
  const canvas = document.querySelector(selector);
  const { width, height } = canvas;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return [width, height, Array.from(context.getImageData(0, 0, width, height).data)];
}
"""
