// All that is known of one layer.

class LayerPanel {
  constructor(host, pick) {
    this.host = host;
    this.pick = pick;
    this.empty();
  }

  empty() {
    this.host.replaceChildren(el("p", { className: "said" }, "Choose a layer in the chart or in the table to see all that is known of it."));
  }

  show(i) {
    this.host.dataset.layer = data.ids[i];
    this.host.replaceChildren(
      el("h3", {}, data.ids[i]),
      pairs([["operator", opOf(i)], ["module", moduleOf(i) || "root"], ["source", sourceOf(i)], ["shape", shapeOf(i)], ...this.neighbours(i)]),
      ...[...COMPARED].sort((a, b) => severity(verdictOf(TARGETS[b], i)) - severity(verdictOf(TARGETS[a], i)) || a - b).map((index) => this.target(TARGETS[index], index, i)),
      ...TARGETS.filter((_, index) => !COMPARED.includes(index)).map((target) => el("p", { className: "said" }, `${target.name}: not compared${textOf(target, "reason", i) ? `: ${textOf(target, "reason", i)}` : ""}`)),
    );
  }

  neighbours(i) {
    if (!data.linked) return [];
    const links = (list, none) => (list.length ? list.slice(0, 12).flatMap((each, n) => [n ? ", " : "", this.link(each)]).concat(list.length > 12 ? [` and ${list.length - 12} more`] : []) : [none]);
    return [["reads", links([...new Set(data.inputs[i])], "the model's inputs")], ["goes to", links(consumers[i], "the model's outputs")]];
  }

  link(i) {
    const button = el("button", { type: "button", className: "link" }, data.ids[i]);
    button.addEventListener("click", () => this.pick(i));
    return button;
  }

  target(target, index, i) {
    const value = (key) => raw(target, key, i);
    const verdict = verdictOf(target, i);
    const facts = [];
    const reason = textOf(target, "reason", i);
    if (reason) facts.push(["not compared", reason]);
    facts.push(["ρ alone", drift(target, "iso", i)], ["ρ accumulated", drift(target, "acc", i)], ["gain", figureText(value("acc_gain"))],
      ["SQNR", db(value("sqnr_db"))], ["SQNR alone", db(value("iso_sqnr_db"))],
      ["largest error", figureText(value("max_abs"))], ["largest alone", figureText(value("iso_max_abs"))],
      ["mean error", figureText(value("mean_abs"))], ["RMSE", figureText(value("rmse"))],
      ["RMS here", figureText(value("actual_rms"))], ["RMS of reference", figureText(value("reference_rms"))],
      ["cosine", cosine(value("cosine"))], ["ULP", figureText(value("max_ulp"))]);
    if (value("nonfinite_actual") || value("nonfinite_reference")) {
      facts.push(["NaN or infinite", `${value("nonfinite_actual")} here, ${value("nonfinite_reference")} in the reference, of ${value("elements")}`]);
    }
    facts.push(["tensor", textOf(target, "tensor", i)]);
    const confidence = value("confidence");
    if (confidence !== null && confidence < 1) facts.push(["confidence", `${Math.round(100 * confidence)} % that this is its tensor`]);
    const cluster = value("cluster");
    if (cluster && cluster.length > 1) facts.push(["one row with", cluster.filter((each) => each !== i).flatMap((each, n) => [n ? ", " : "", this.link(each)])]);
    if (target.blame?.layer === i && target.blame.error) {
      facts.push(["no reproduction", target.blame.error]);
    } else if (target.blame?.layer === i) {
      facts.unshift(["in the source", target.blame.call], ["here", target.blame.operators.join("; ")]);
    }
    if (target.reproduction && (target.blame?.layer ?? target.introduced) === i) {
      facts.push(["reproduction", `${target.reproduction}${target.blame?.confirmed === false ? " (it does not show the difference)" : ""}`]);
    }
    const box = el("section", { className: `target ${verdict.replace(" ", "-")}` },
      el("h4", {}, swatch(index), ` ${target.name} `, badge(verdict)), this.story(target, i, verdict), pairs(facts), histogram(value("histogram")));
    return box;
  }

  /** What the figures mean, in a sentence, where something is wrong. */
  story(target, i, verdict) {
    const alone = raw(target, "iso", i), arrived = raw(target, "acc", i);
    const text = () => {
      if (raw(target, "clean", i) === 0) return "NaN or infinity where the reference has none, or the reverse.";
      if (target.introduced === i) return "The drift begins here: fed exact inputs, this layer already computes something else.";
      if (verdict !== "fail" && verdict !== "warn") return "";
      if (alone !== null && figure(alone) > target.warn) return "This layer adds drift of its own.";
      if (alone !== null && figure(arrived) > target.warn) return "Alone this layer is right: it passes on what came before it.";
      if (alone === null && target.isolation) return `Whether it began here is not known: ${target.isolation}`;
      if (target.first === i) return "The first layer that fails; what it reads is within the limits.";
      return "";
    };
    const told = text();
    return told ? el("p", { className: "story" }, told) : null;
  }
}

/** A drift ratio with its 95 % interval. */
function drift(target, key, i) {
  const ratio = raw(target, key, i);
  if (ratio === null) return "";
  const [low, high] = [raw(target, `${key}_low`, i), raw(target, `${key}_high`, i)];
  return low === null ? figureText(ratio) : `${figureText(ratio)} (${figureText(low)}–${figureText(high)})`;
}

/** The spread of a layer's own error: a bell around 0 is rounding, anything else a hint. */
function histogram(values) {
  if (!values) return null;
  const [low, high, ...counts] = values, most = Math.max(...counts);
  const bars = counts.map((count) => el("i", { style: `height:${count ? Math.max(4, (100 * count) / most) : 0}%` }));
  const name = `spread of the error alone, from ${figureText(low)} to ${figureText(high)}; most elements near ${figureText(low + ((counts.indexOf(most) + 0.5) * (high - low)) / counts.length)}`;
  return el("figure", { className: "histogram" },
    el("div", { className: "bars", role: "img", ariaLabel: name }, ...bars),
    el("div", { className: "ends" }, el("span", {}, figureText(low)), el("span", {}, "error alone"), el("span", {}, figureText(high))));
}

const db = (value) => (value === null ? "" : kindText("sqnr", value));

/** A cosine near 1 tells more by its distance from it. */
function cosine(value) {
  if (typeof value !== "number" || value <= 0.999) return figureText(value, 4);
  return value === 1 ? "1" : `1 − ${(1 - value).toExponential(1)}`;
}

function pairs(list) {
  const shown = list.filter(([, value]) => (Array.isArray(value) ? value.length : value !== "" && value !== null && value !== undefined));
  return el("dl", { className: "pairs" }, ...shown.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, ...[value].flat())]));
}
