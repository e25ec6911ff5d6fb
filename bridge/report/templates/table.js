// The table of layers: only the rows in view exist, so that thousands scroll as smoothly as ten.

const ROW = 30, OVERSCAN = 10;

class LayerTable {
  /** @param {HTMLElement} host @param {(layer: number) => void} pick called with an opened layer */
  constructor(host, pick) {
    this.host = host;
    this.pick = pick;
    this.sort = { key: "order", down: false };
    this.filter = { text: "", verdict: "", op: "", module: "" };
    this.kind = known("iso") ? "iso" : known("acc") ? "acc" : "sqnr";
    this.depth = 0;
    this.folded = new Set();
    this.live = new Map(); // row number → its element, for the rows that exist
    this.active = 0;
    this.chosen = null;
    this.haystack = data.ids.map((id, i) => `${id} ${opOf(i)} ${moduleOf(i)} ${sourceOf(i)}`.toLowerCase());
    this.verdicts = data.ids.map((_, i) => worstOf(i));
    this.head = el("div", { role: "row", className: "row head" });
    this.body = el("div", { className: "rows", role: "presentation" });
    host.style.setProperty("--targets", COMPARED.length);
    host.append(this.head, this.body);
    host.setAttribute("aria-colcount", 5 + COMPARED.length);
    host.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    host.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("[data-at]");
      if (row) this.open(Number(row.dataset.at));
    });
    new ResizeObserver(() => this.draw()).observe(host);
    this.drawHead();
    this.update();
  }

  get columns() {
    return [
      ["order", "#"], ["id", "Layer"], ["op", "Operator"], ["module", "Module"], ["source", "Source"],
      ...COMPARED.map((index) => [index, TARGETS[index].name]),
    ];
  }

  drawHead() {
    this.head.replaceChildren(...this.columns.map(([key, title]) => {
      const sorted = this.sort.key === key ? (this.sort.down ? "descending" : "ascending") : "none";
      const arrow = { descending: " ↓", ascending: " ↑", none: "" }[sorted];
      const button = el("button", { type: "button", title: `sort by ${title}`, tabIndex: 0 }, `${title}${arrow}`);
      button.addEventListener("click", () => this.sortBy(key));
      return el("div", { role: "columnheader", "aria-sort": sorted, className: columnClass(key), "data-key": String(key) }, button);
    }));
  }

  /** Figures begin with the worst, texts with A; a second click turns the order. */
  sortBy(key) {
    const figures = typeof key === "number";
    this.sort = this.sort.key === key ? { key, down: !this.sort.down } : { key, down: figures };
    this.drawHead();
    this.update();
  }

  set(changes) {
    Object.assign(this.filter, changes);
    this.update();
  }

  group(depth) {
    this.depth = depth;
    this.folded.clear();
    this.update();
  }

  foldAll() {
    const groups = this.groups.map((group) => group.name);
    this.folded = this.folded.size ? new Set() : new Set(groups);
    this.update();
  }

  matches(i) {
    const { text, verdict, op, module } = this.filter;
    const path = moduleOf(i);
    return (!text || this.haystack[i].includes(text)) && (!op || opOf(i) === op)
      && (!module || path === module || path.startsWith(`${module}.`))
      && (!verdict || (verdict === "attention" ? !["pass", "not run"].includes(this.verdicts[i]) : TARGETS.some((target) => verdictOf(target, i) === verdict)));
  }

  /** How a layer is ordered by a target's column: failures, then figures, then what did not run. */
  rank(target, i) {
    const value = raw(target, KINDS[this.kind].key, i);
    if (value === null) return [verdictOf(target, i) === "fail" ? 2 : 0, 0];
    const number = figure(value);
    return [1, Number.isNaN(number) ? Infinity : number * KINDS[this.kind].worst];
  }

  update() {
    const found = data.ids.map((_, i) => i).filter((i) => this.matches(i));
    const { key, down } = this.sort, sign = down ? -1 : 1;
    const texts = { id: (i) => data.ids[i], op: opOf, module: moduleOf, source: sourceOf };
    if (typeof key === "number") {
      const ranks = new Map(found.map((i) => [i, this.rank(TARGETS[key], i)]));
      found.sort((a, b) => {
        const [x, y] = [ranks.get(a), ranks.get(b)];
        return sign * (x[0] - y[0] || (x[1] === y[1] ? 0 : x[1] - y[1])) || a - b;
      });
    } else if (texts[key]) found.sort((a, b) => sign * texts[key](a).localeCompare(texts[key](b), "en", { numeric: true }) || a - b);
    else if (down) found.reverse();
    this.found = found;
    this.items = this.depth ? this.grouped(found) : found.map((layer) => ({ layer }));
    this.place = new Map(this.items.map((item, at) => [item.layer, at]));
    this.active = Math.min(this.active, Math.max(this.items.length - 1, 0));
    this.body.style.height = `${this.items.length * ROW}px`;
    this.host.setAttribute("aria-rowcount", this.items.length + 1);
    byId("shown").textContent = found.length === COUNT ? `${COUNT.toLocaleString("en")} layers` : `${found.length.toLocaleString("en")} of ${COUNT.toLocaleString("en")} layers`;
    this.clear();
    this.draw();
    this.onUpdate?.();
  }

  grouped(found) {
    const groups = new Map();
    for (const i of found) {
      const name = moduleOf(i).split(".").slice(0, this.depth).join(".") || "root";
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(i);
    }
    this.groups = [...groups].map(([name, layers]) => ({ name, layers }));
    return this.groups.flatMap((group) => [{ group }, ...(this.folded.has(group.name) ? [] : group.layers.map((layer) => ({ layer })))]);
  }

  clear() {
    this.live.clear();
    this.body.replaceChildren();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.host.scrollTop / ROW) - OVERSCAN);
    const view = Math.max(this.host.clientHeight, 10 * ROW); // it may not have its height yet
    const last = Math.min(this.items.length, first + Math.ceil(view / ROW) + 2 * OVERSCAN);
    const marks = `${this.active} ${this.chosen}`;
    if (marks !== this.marks) this.clear();
    this.marks = marks;
    for (const [at, row] of this.live) {
      if (at >= first && at < last) continue;
      row.remove();
      this.live.delete(at);
    }
    const above = [], below = [], top = Math.min(...this.live.keys());
    for (let at = first; at < last; at += 1) {
      if (this.live.has(at)) continue;
      const row = this.row(this.items[at], at);
      (at < top ? above : below).push(row);
      this.live.set(at, row);
    }
    this.body.prepend(...above);
    this.body.append(...below);
    if (!this.items.length) this.body.replaceChildren(el("p", { className: "none" }, "No layer is like that."));
    const active = this.body.querySelector(".active");
    if (active) this.host.setAttribute("aria-activedescendant", active.id);
    else this.host.removeAttribute("aria-activedescendant");
  }

  row(item, at) {
    const classes = ["row", at === this.active ? "active" : "", item.layer !== undefined && item.layer === this.chosen ? "chosen" : ""];
    const row = el("div", { role: "row", id: `row-${at}`, className: classes.join(" "), "aria-rowindex": at + 2, "data-at": at });
    row.style.top = `${at * ROW}px`;
    if (item.group) this.fillGroup(row, item.group);
    else this.fill(row, item.layer);
    return row;
  }

  fillGroup(row, { name, layers }) {
    const folded = this.folded.has(name);
    row.classList.add("group");
    row.setAttribute("aria-expanded", String(!folded));
    row.dataset.group = name;
    const counts = data.verdicts.map((verdict) => [verdict, layers.filter((i) => this.verdicts[i] === verdict).length]);
    const told = counts.filter(([, count]) => count).reverse().map(([verdict, count]) => el("span", { className: `count ${verdict.replace(" ", "-")}` }, `${MARKS[verdict]} ${count} ${verdict}`));
    row.append(el("div", { role: "gridcell", className: "wide" }, el("span", { ariaHidden: "true" }, folded ? "▸ " : "▾ "), el("b", {}, name), ` ${layers.length} `, ...told));
  }

  fill(row, i) {
    row.dataset.layer = i;
    const cell = (key, text, ...more) => el("div", { role: "gridcell", className: columnClass(key), title: text }, ...(more.length ? more : [text]));
    row.append(
      cell("order", String(i + 1)), cell("id", data.ids[i]), cell("op", opOf(i), opOf(i).replace(/^aten\./, "")), cell("module", moduleOf(i)), cell("source", sourceOf(i), sourceOf(i).split(/[\\/]/).at(-1)),
      ...COMPARED.map((index) => {
        const target = TARGETS[index], verdict = verdictOn(this.kind, target, i), value = raw(target, KINDS[this.kind].key, i);
        const text = value !== null ? kindText(this.kind, value) : textOf(target, "reason", i) || (raw(target, "mapped", i) ? "only accumulated" : verdict);
        return cell(index, `${verdict}${text ? `: ${text}` : ""}`, el("span", { className: `mark ${verdict.replace(" ", "-")}`, ariaLabel: verdict, role: "img" }, MARKS[verdict]), el("span", { className: value === null ? "said" : "value" }, text));
      }),
    );
  }

  open(at) {
    this.active = at;
    const item = this.items[at];
    if (item?.group) this.fold(item.group.name, !this.folded.has(item.group.name));
    else if (item) this.pick(item.layer);
  }

  fold(name, folded) {
    if (folded) this.folded.add(name);
    else this.folded.delete(name);
    this.update();
  }

  /** Mark a layer and bring its row into view; filters that hide it are taken off. */
  choose(i) {
    this.chosen = i;
    if (!this.place.has(i)) {
      if (!this.found.includes(i)) Object.assign(this.filter, { text: "", verdict: "", op: "", module: "" });
      this.folded.clear();
      this.update();
    }
    this.active = this.place.get(i);
    this.reveal();
    this.draw();
  }

  reveal() {
    const top = this.active * ROW, view = this.host.clientHeight - ROW;
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    else if (top + ROW > this.host.scrollTop + view) this.host.scrollTop = top - view / 2;
  }

  key(event) {
    if (event.target !== this.host) return;
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW) - 2), last = this.items.length - 1;
    const moves = { ArrowUp: this.active - 1, ArrowDown: this.active + 1, PageUp: this.active - page, PageDown: this.active + page, Home: 0, End: last };
    const group = this.items[this.active]?.group;
    if (event.key in moves) {
      this.active = Math.min(Math.max(moves[event.key], 0), Math.max(last, 0));
      this.reveal();
      this.draw();
    } else if (event.key === "Enter" || event.key === " ") this.open(this.active);
    else if (group && event.key === "ArrowRight") this.fold(group.name, false);
    else if (group && event.key === "ArrowLeft") this.fold(group.name, true);
    else return;
    event.preventDefault();
  }
}

const columnClass = (key) => (typeof key === "number" ? "cell target" : `cell ${key}`);
