/** The badge that says whether the golden vectors passed here, and the table behind it. */

import { byId, make } from "../page.js";

/** @import { Check } from "../self-test.js" */

/** @typedef {{ passed: boolean, checks: Check[] }} Result */

/** @param {string} sentence */
export function showChecking(sentence) {
  setBadge("checking", sentence);
}

/**
 * @param {Result} result
 * @param {string} engine which computed it
 * @param {boolean} hashed whether the files were compared with the contract's checksums
 */
export function showResult({ passed, checks }, engine, hashed) {
  byId("files-about").textContent = hashed
    ? "The graphs and the golden vectors are those of the contract: their SHA-256 was compared."
    : "The SHA-256 of the files was not compared: browsers offer it only to pages from https:// and localhost.";
  byId("checks").replaceChildren(...checks.map(rowOf));
  const worst = largestError(checks);
  const failed = checks.filter((check) => !check.passed).length;
  const sentence = passed
    ? `Golden vectors pass${worst === null ? "" : ` · largest error ${power(worst)}`}`
    : `Golden vectors fail · ${failed} of ${checks.length} checks`;
  setBadge(passed ? "passed" : "failed", sentence);
  byId("self-test").querySelector("summary")?.replaceChildren(
    make("span", {}, "Self-test"),
    make("span", { class: "detail" }, `${checks.length - failed} of ${checks.length} checks passed, by ${engine}`),
  );
}

/**
 * Nothing is offered.
 *
 * @param {boolean} tested whether it is because of the golden vectors, whose table says which
 */
export function showRefused(tested) {
  if (tested) {
    byId("self-test", HTMLDetailsElement).open = true;
  } else {
    setBadge("failed", "Not proven");
  }
}

/**
 * @param {Check[]} checks
 * @returns {number | null} the largest error of one number, over all that have one
 */
export function largestError(checks) {
  const errors = checks.flatMap(({ measure, error }) => (measure === "maximum" && error !== null ? [error] : []));
  return errors.length === 0 ? null : Math.max(...errors);
}

/**
 * @param {"checking" | "passed" | "failed"} state
 * @param {string} sentence
 */
function setBadge(state, sentence) {
  const badge = byId("badge");
  badge.dataset["state"] = state;
  badge.textContent = sentence;
}

/**
 * @param {Check} check
 * @returns {HTMLTableRowElement}
 */
function rowOf({ role, batch, output, measure, error, limit, otherwise, decisions, passed, reason }) {
  const decibels = measure === "psnr";
  const value = (/** @type {number | null} */ number) =>
    number === null ? "" : decibels ? `${number.toFixed(1)} dB` : power(number);
  const decided = otherwise === null ? "" : `${otherwise} of ${decisions} otherwise`;
  const cells = [
    role,
    batch === null ? "all" : String(batch),
    output ?? "",
    { maximum: otherwise !== null && error === null ? "choices" : "largest error", norm: "relative error", psnr: "PSNR" }[measure],
    [value(error), decided].filter(Boolean).join(", "),
    value(limit),
    passed ? "passed" : `failed: ${reason ?? "it is off"}`,
  ];
  return make("tr", { "data-passed": String(passed) }, ...cells.map((cell) => make("td", {}, cell)));
}

/**
 * @param {number} value
 * @returns {string} in two digits, such as 3.1 × 10⁻⁷
 */
function power(value) {
  if (value === 0) {
    return "0";
  }
  const [digits, exponent] = value.toExponential(1).split("e");
  const raised = [...String(Number(exponent))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
  return raised === "⁰" ? digits : `${digits}\u00a0×\u00a010${raised}`;
}
