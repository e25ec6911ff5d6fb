// The layers as the data block holds them, and what every part of the page needs of them.

const data = JSON.parse(document.getElementById("layer-data").textContent);
const MARKS = { pass: "✓", inconclusive: "?", warn: "!", "not run": "–", fail: "✗" };
const COUNT = data.ids.length;
const TARGETS = data.targets;

const KINDS = {
  iso: { key: "iso", title: "ρ alone", worst: 1 },
  acc: { key: "acc", title: "ρ accumulated", worst: 1 },
  sqnr: { key: "sqnr_db", title: "SQNR", worst: -1 },
  max_abs: { key: "max_abs", title: "largest error", worst: 1 },
};

const opOf = (i) => data.texts[data.ops[i]];
const moduleOf = (i) => data.texts[data.modules[i]];
const sourceOf = (i) => data.texts[data.sources[i]];
const shapeOf = (i) => data.texts[data.shapes[i]];

/** A figure of a layer in a target as the data has it: a number, "inf", "nan", or null. */
function raw(target, key, i) {
  const column = target.cells[key];
  return column === undefined ? null : column[i];
}

function textOf(target, key, i) {
  const index = raw(target, key, i);
  return index === null ? "" : data.texts[index];
}

function verdictOf(target, i) {
  const index = raw(target, "verdict", i);
  return index === null ? "not run" : data.verdicts[index];
}

/** The verdict on one kind of figure, where there is one; else that on the row. */
function verdictOn(kind, target, i) {
  const index = raw(target, `${kind}_verdict`, i);
  return index === null ? verdictOf(target, i) : data.verdicts[index];
}

/** The same as a JavaScript number; NaN also stands for none. */
function figure(value) {
  if (value === null || value === undefined) return NaN;
  if (typeof value === "number") return value;
  return { inf: Infinity, "-inf": -Infinity }[value] ?? NaN;
}

function figureText(value, digits = 3) {
  if (value === null || value === undefined) return "";
  const number = figure(value);
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  if (size && (size < 1e-3 || size >= 1e5)) return number.toExponential(digits - 1);
  const places = size ? Math.max(0, digits - 1 - Math.floor(Math.log10(size))) : 0;
  return number.toFixed(Math.min(places, 12));
}

function kindText(kind, value) {
  if (kind !== "sqnr" || value === null) return figureText(value);
  const number = figure(value);
  if (number === Infinity) return "exact";
  return Number.isFinite(number) ? `${number.toFixed(1)} dB` : `${figureText(value)}${number ? " dB" : ""}`;
}

const severity = (verdict) => data.verdicts.indexOf(verdict);

/** The worst verdict of a layer over all targets; one that did not run counts only if all did not. */
function worstOf(i) {
  const known = TARGETS.map((target) => verdictOf(target, i)).filter((each) => each !== "not run");
  return known.reduce((worst, each) => (severity(each) > severity(worst) ? each : worst), known[0] ?? "not run");
}

/** Targets of which at least one layer was compared; the others would be empty columns. */
const COMPARED = TARGETS.map((_, index) => index).filter((index) => ["acc", "iso", "sqnr_db"].some((key) => TARGETS[index].cells[key]));

/** Whether a figure of some kind is known of any layer. */
const known = (kind) => TARGETS.some((target) => target.cells[KINDS[kind].key] !== undefined);

const consumers = Array.from({ length: COUNT }, () => []);
data.inputs.forEach((inputs, i) => new Set(inputs).forEach((from) => consumers[from].push(i)));

/** An element; children that are texts stay texts, whatever is in them. */
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function badge(verdict) {
  return el("span", { className: `badge ${verdict.replace(" ", "-")}` },
    el("span", { ariaHidden: "true" }, MARKS[verdict]), ` ${verdict}`);
}

/** The first layer that introduced a failure, or else the first that fails; null if none does. */
function firstToLookAt() {
  const layers = (key) => TARGETS.map((target) => target[key]).filter((layer) => layer !== null).sort((a, b) => a - b);
  return [...layers("introduced"), ...layers("first")][0] ?? null;
}

const byId = (id) => document.getElementById(id);
