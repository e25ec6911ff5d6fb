// The drift chart: layers on x, drift ratios on a logarithmic axis, SQNR on one of its own.

const COLOURS = 6;
const DASHES = [[], [7, 3], [2, 3], [10, 3, 2, 3], [4, 4], [1, 2]];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (index) => css(`--series-${index % COLOURS}`);

/** The shapes by which the targets' points differ without colour. */
function trace(path, shape, x, y, size) {
  const r = size / 2;
  if (shape % 4 === 0) {
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, 2 * Math.PI);
  } else if (shape % 4 === 1) path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else {
    const corners = shape % 4 === 2
      ? [[0, -1.15], [1.1, 0.85], [-1.1, 0.85]]
      : [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]];
    corners.forEach(([dx, dy], n) => path[n ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
    path.closePath();
  }
}

class DriftChart {
  /** @param {HTMLElement} host @param {(layer: number) => void} pick called with a clicked layer */
  constructor(host, pick) {
    this.host = host;
    this.pick = pick;
    this.kinds = new Set(known("iso") ? ["iso", "acc"] : [known("acc") ? "acc" : "sqnr"]);
    this.targets = new Set(COMPARED);
    this.chosen = null;
    this.tip = el("div", { className: "tip", hidden: true });
    this.xs = Float64Array.from({ length: COUNT }, (_, i) => i);
    this.bands = moduleBands();
    this.build();
    new ResizeObserver(() => this.resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
    host.addEventListener("keydown", (event) => this.key(event));
    host.addEventListener("mouseleave", () => { this.tip.hidden = true; });
  }

  get height() { return innerWidth < 600 ? 260 : 340; }

  build() {
    const range = this.plot ? [this.plot.scales.x.min, this.plot.scales.x.max] : null;
    this.plot?.destroy();
    this.lines = [];
    for (const kind of ["sqnr", "acc", "iso"]) {
      if (!this.kinds.has(kind)) continue;
      for (const index of this.targets) {
        if (TARGETS[index].cells[KINDS[kind].key]) this.lines.push({ kind, index });
      }
    }
    const columns = this.lines.map(({ kind, index }) => this.column(kind, TARGETS[index]));
    this.marked = this.beyond();
    this.plot = new uPlot(this.options(), [this.xs, ...columns], this.host);
    this.plot.over.append(this.tip);
    this.listen();
    if (range) this.zoom(...range);
  }

  /** What is drawn as a line or a point; a zero, which has no logarithm, lies on the lower edge. */
  column(kind, target) {
    const numbers = target.cells[KINDS[kind].key].map(figure);
    const drawn = numbers.map((number) => (Number.isFinite(number) ? number : null));
    if (kind === "sqnr") return drawn;
    const least = drawn.reduce((low, number) => (number > 0 && number < low ? number : low), 1);
    return drawn.map((number) => (number === null ? null : Math.max(number, 10 ** Math.floor(Math.log10(least)))));
  }

  /** Layers with a figure that is no number, and what that is; they are marked at the lower edge. */
  beyond() {
    const found = new Map();
    for (const { kind, index } of this.lines) {
      TARGETS[index].cells[KINDS[kind].key].forEach((value, i) => {
        if (value !== null && !Number.isFinite(figure(value)) && !(kind === "sqnr" && value === "inf")) found.set(i, kind === "sqnr" ? "−∞" : figureText(value));
      });
    }
    return found;
  }

  options() {
    const grid = { stroke: css("--rule"), width: 1 };
    const axis = { stroke: css("--soft"), grid, ticks: { ...grid, size: 5 }, font: "12px system-ui, sans-serif" };
    const ratios = this.lines.some(({ kind }) => kind !== "sqnr");
    const decibels = this.lines.some(({ kind }) => kind === "sqnr");
    const axes = [{ ...axis, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
      splits: (_, axis, low, high, step) => Array.from({ length: Math.ceil((high - low) / step) + 2 }, (_, n) => (Math.floor(low / step) + n) * step - 1).filter((x) => x >= 0 && x <= high),
      values: (_, splits) => splits.map((x) => (x < COUNT ? x + 1 : "")) }];
    if (ratios) axes.push({ ...axis, scale: "rho", size: 48, grid: { ...grid, filter: decades }, ticks: { ...grid, size: 5, filter: decades }, label: "ρ, multiple of noise", labelSize: 20, labelFont: axis.font,
      values: (_, splits) => splits.map((y) => (y === null ? "" : y >= 1e4 ? y.toExponential(0) : String(y))) });
    if (decibels) axes.push({ ...axis, scale: "db", side: ratios ? 1 : 3, size: 44, label: "SQNR, dB", labelSize: 20, labelFont: axis.font,
      grid: ratios ? { show: false } : grid });
    return {
      width: Math.max(this.host.clientWidth, 200), height: this.height,
      legend: { show: false }, padding: [14, decibels && ratios ? 0 : 14, 0, 0],
      scales: {
        x: { time: false, range: (_, low, high) => [Math.max(low, -0.5), Math.min(high, COUNT - 0.5)].map((x, n) => (low === high ? x + n - 0.5 : x)) },
        rho: { distr: 3, range: (_, low, high) => ratioRange(low, high) },
        db: { range: (_, low, high) => [Math.max(0, Math.floor((low ?? 0) / 10) * 10 - 10), Math.ceil((high ?? 100) / 10) * 10 + 10] },
      },
      series: [{}, ...this.lines.map((line) => this.series(line))],
      axes,
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, dist: 6 } },
      hooks: {
        drawClear: [(plot) => this.drawBands(plot)],
        draw: [(plot) => this.drawLimits(plot), (plot) => this.drawMarks(plot)],
        setCursor: [() => this.hover()],
      },
    };
  }

  series({ kind, index }) {
    const stroke = colourOf(index);
    const points = { show: true, size: 6, width: 1.4, stroke, fill: css("--page"), paths: (plot, series, first, last, kept) => {
      const path = new Path2D(), { warn } = TARGETS[index];
      const dense = (last - first) / plot.bbox.width > 0.25 / devicePixelRatio; // points would lie on each other
      const draw = (i) => {
        const y = plot.data[series][i];
        if (y === null) return;
        const size = (dense && y <= warn ? 1.5 : 7) * devicePixelRatio;
        trace(path, index, plot.valToPos(i, "x", true), plot.valToPos(y, "rho", true), size);
      };
      if (kept) kept.forEach(draw);
      else for (let i = first; i <= last; i += 1) draw(i);
      return { fill: path, stroke: path };
    } };
    if (kind === "iso") return { scale: "rho", stroke, paths: () => null, points };
    return {
      scale: kind === "sqnr" ? "db" : "rho", stroke, spanGaps: true,
      width: kind === "sqnr" ? 1 : 1.6, dash: kind === "sqnr" ? [1, 3] : DASHES[index % DASHES.length],
      points: { show: false },
    };
  }

  /** Zebra stripes of the top modules behind the plot, with their names where there is room. */
  drawBands(plot) {
    const { ctx } = plot, { left, top, width, height } = plot.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, 0, width, top + height);
    ctx.clip();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "bottom";
    this.bands.forEach(({ name, first, last }, n) => {
      const from = Math.max(plot.valToPos(first - 0.5, "x", true), left);
      const to = Math.min(plot.valToPos(last + 0.5, "x", true), left + width);
      if (to <= from) return;
      ctx.fillStyle = n % 2 ? css("--band") : "transparent";
      ctx.fillRect(from, top, to - from, height);
      ctx.fillStyle = css("--soft");
      if (ctx.measureText(name).width + 6 * devicePixelRatio < to - from) ctx.fillText(name, from + 2 * devicePixelRatio, top - 2);
    });
    ctx.restore();
  }

  drawLimits(plot) {
    if (!this.lines.some(({ kind }) => kind !== "sqnr")) return;
    const { ctx } = plot, { left, width } = plot.bbox;
    const limits = new Map();
    for (const index of this.targets) {
      limits.set(TARGETS[index].warn, ["--warn", "remark"]);
      limits.set(TARGETS[index].fail, ["--fail", "failure"]);
    }
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    for (const [value, [colour, word]] of limits) {
      const y = Math.round(plot.valToPos(value, "rho", true)) + 0.5;
      ctx.strokeStyle = ctx.fillStyle = css(colour);
      ctx.beginPath();
      ctx.moveTo(left, y);
      ctx.lineTo(left + width, y);
      ctx.stroke();
      ctx.fillText(`${word} above ${value}`, left + width - 4 * devicePixelRatio, y - 2 * devicePixelRatio);
    }
    ctx.restore();
  }

  /** Lines at the layer that each failure begins at, and at the chosen layer. */
  drawMarks(plot) {
    const { ctx } = plot, { left, top, width, height } = plot.bbox;
    const line = (layer, colour, wide) => {
      const x = Math.round(plot.valToPos(layer, "x", true)) + 0.5;
      if (x < left || x > left + width) return;
      ctx.strokeStyle = ctx.fillStyle = css(colour);
      ctx.lineWidth = wide * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      return x;
    };
    ctx.save();
    ctx.textAlign = "center";
    ctx.font = `bold ${10 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.fillStyle = css("--fail");
    for (const [layer, text] of this.marked) {
      const x = plot.valToPos(layer, "x", true);
      if (x >= left && x <= left + width) ctx.fillText(text, x, top + height - 6 * devicePixelRatio);
    }
    ctx.textAlign = "left";
    const starts = new Set([...this.targets].map((index) => TARGETS[index].first).filter((first) => first !== null));
    let step = 0;
    for (const first of starts) {
      const x = line(first, "--fail", 1);
      if (x === undefined) continue;
      step += 14 * devicePixelRatio;
      ctx.font = `bold ${11 * devicePixelRatio}px system-ui, sans-serif`;
      const text = `✗ ${data.ids[first]}`, room = ctx.measureText(text).width + 8 * devicePixelRatio;
      ctx.fillText(text, x + room > left + width ? x - room : x + 4 * devicePixelRatio, top + step);
    }
    if (this.chosen !== null) line(this.chosen, "--accent", 2);
    ctx.restore();
  }

  listen() {
    let down = null;
    this.plot.over.addEventListener("mousedown", (event) => { down = event.clientX; });
    this.plot.over.addEventListener("click", (event) => {
      if (down !== null && Math.abs(event.clientX - down) < 5 && this.plot.cursor.idx !== null) this.pick(this.plot.cursor.idx);
    });
    this.plot.over.addEventListener("dblclick", () => this.zoomAll());
  }

  hover() {
    const { idx, left } = this.plot?.cursor ?? {};
    if (idx === null || idx === undefined || left < 0) {
      this.tip.hidden = true;
      return;
    }
    this.tip.replaceChildren(...this.describe(idx));
    this.tip.hidden = false;
    const x = this.plot.valToPos(idx, "x"), room = this.plot.over.clientWidth, own = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, x + own + 16 > room ? x - own - 12 : x + 12)}px`;
    this.tip.dataset.layer = data.ids[idx];
  }

  describe(i) {
    const rows = [...this.targets].map((index) => {
      const target = TARGETS[index], verdict = verdictOf(target, i);
      const cells = [...this.kinds].map((kind) => {
        const value = raw(target, KINDS[kind].key, i);
        return value === null ? "" : kindText(kind, value);
      });
      const absent = cells.every((cell) => !cell);
      return el("tr", {}, el("td", {}, swatch(index)), el("th", {}, target.name), el("td", {}, `${MARKS[verdict]} ${verdict}`),
        ...(absent ? [el("td", { colSpan: cells.length, className: "said" }, textOf(target, "reason", i))] : cells.map((cell) => el("td", { className: "n" }, cell))));
    });
    const head = el("tr", {}, el("td"), el("td"), el("td"), ...[...this.kinds].map((kind) => el("th", { className: "n" }, KINDS[kind].title)));
    return [
      el("p", {}, el("strong", {}, data.ids[i]), ` ${opOf(i)}`),
      el("p", { className: "said" }, `${i + 1} of ${COUNT} · ${moduleOf(i) || "root"}${sourceOf(i) ? ` · ${sourceOf(i)}` : ""}`),
      el("table", {}, head, ...rows),
    ];
  }

  key(event) {
    const at = this.plot.cursor.idx ?? this.chosen ?? 0;
    const { min, max } = this.plot.scales.x;
    const step = event.shiftKey ? Math.max(1, Math.round((max - min) / 10)) : 1;
    const moves = { ArrowLeft: at - step, ArrowRight: at + step, Home: 0, End: COUNT - 1 };
    if (event.key in moves) this.point(Math.min(Math.max(moves[event.key], 0), COUNT - 1));
    else if (event.key === "Enter") this.pick(at);
    else if (event.key === "+" || event.key === "=") this.scale(0.5);
    else if (event.key === "-") this.scale(2);
    else if (event.key === "0" || event.key === "Escape") this.zoomAll();
    else return;
    event.preventDefault();
  }

  /** Put the cursor on a layer, bring it into view, and say what is there. */
  point(i) {
    const { min, max } = this.plot.scales.x;
    if (i < min || i > max) this.zoom(i - (max - min) / 2, i + (max - min) / 2);
    this.plot.setCursor({ left: this.plot.valToPos(i, "x"), top: 10 });
    const told = [...this.targets].map((index) => {
      const target = TARGETS[index];
      const values = [...this.kinds].map((kind) => [KINDS[kind].title, raw(target, KINDS[kind].key, i)]).filter(([, value]) => value !== null);
      return `${target.name} ${verdictOf(target, i)} ${values.map(([title, value]) => `${title} ${figureText(value)}`).join(", ")}`;
    });
    byId("chart-said").textContent = `${data.ids[i]}, ${opOf(i)}: ${told.join("; ")}`;
  }

  choose(i) {
    this.chosen = i;
    const { min, max } = this.plot.scales.x;
    if (i < min || i > max) this.zoom(i - (max - min) / 2, i + (max - min) / 2);
    else this.plot.redraw(false);
  }

  scale(factor) {
    const { min, max } = this.plot.scales.x;
    const middle = this.plot.cursor.idx ?? this.chosen ?? (min + max) / 2;
    const half = Math.max(((max - min) * factor) / 2, 2);
    this.zoom(middle - half, middle + half);
  }

  zoom(low, high) {
    const wide = Math.min(high - low, COUNT);
    const from = Math.min(Math.max(low, -0.5), COUNT - 0.5 - wide);
    this.plot.setScale("x", { min: from, max: from + wide });
  }

  zoomAll() { this.zoom(-0.5, COUNT - 0.5); }

  resize() {
    const width = this.host.clientWidth;
    if (width && (width !== this.plot.width || this.height !== this.plot.height)) this.plot.setSize({ width, height: this.height });
  }

  toggle(set, item, on) {
    if (on) this[set].add(item);
    else this[set].delete(item);
    this[set] = new Set([...this[set]].sort());
    this.build();
  }
}

/** Of the lines of a logarithmic axis only those at powers of ten. */
const decades = (_, splits) => splits.map((y) => (Number.isInteger(Math.log10(y)) ? y : null));

/** Whole decades that hold the values and both limits. */
function ratioRange(low, high) {
  const least = Math.min(low ?? 1, 0.5), most = Math.max(high ?? 1, 15);
  return [10 ** Math.floor(Math.log10(least)), 10 ** Math.ceil(Math.log10(most * 1.2))];
}

/** Runs of layers of one top module. */
function moduleBands() {
  const bands = [];
  for (let i = 0; i < COUNT; i += 1) {
    const name = moduleOf(i).split(".")[0] || "root";
    if (bands.at(-1)?.name === name) bands.at(-1).last = i;
    else bands.push({ name, first: i, last: i });
  }
  return bands;
}

/** How a target is drawn: its colour, its dashes and its shape. */
function swatch(index) {
  const canvas = el("canvas", { width: 56, height: 24, className: "swatch", ariaHidden: "true" });
  const ctx = canvas.getContext("2d");
  ctx.strokeStyle = colourOf(index);
  ctx.lineWidth = 3;
  ctx.setLineDash(DASHES[index % DASHES.length].map((each) => each * 2));
  ctx.beginPath();
  ctx.moveTo(0, 12);
  ctx.lineTo(56, 12);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.fillStyle = css("--page");
  const path = new Path2D();
  trace(path, index, 28, 12, 14);
  ctx.fill(path);
  ctx.stroke(path);
  return canvas;
}
