// What joins the chart, the table and the panel.

function start() {
  document.documentElement.classList.add("scripted");
  const pick = (i, scroll = false) => {
    table.choose(i);
    chart.choose(i);
    panel.show(i);
    if (scroll) byId("table").scrollIntoView({ block: "center" });
    history.replaceState(null, "", `#layer=${encodeURIComponent(data.ids[i])}`);
  };
  const panel = new LayerPanel(byId("panel"), pick);
  const table = new LayerTable(byId("table"), pick);
  const chart = new DriftChart(byId("chart"), pick);

  for (const kind of ["iso", "acc", "sqnr"]) {
    if (known(kind)) byId("kinds").append(tick(KINDS[kind].title, chart.kinds.has(kind), (on) => chart.toggle("kinds", kind, on)));
  }
  TARGETS.forEach((target, index) => {
    const seen = chart.targets.has(index);
    const label = tick(target.name, seen, (on) => chart.toggle("targets", index, on), swatch(index));
    if (!seen) {
      label.title = "its layers were not compared";
      label.querySelector("input").disabled = true;
    }
    byId("series").append(label);
  });
  byId("zoom-in").addEventListener("click", () => chart.scale(0.5));
  byId("zoom-out").addEventListener("click", () => chart.scale(2));
  byId("zoom-all").addEventListener("click", () => chart.zoomAll());

  if (!COMPARED.length) byId("chart-help").textContent = "No layer was compared, so there is nothing to draw.";
  filters(table);
  for (const button of document.querySelectorAll("button[data-layer]")) {
    button.addEventListener("click", () => pick(Number(button.dataset.layer), true));
  }
  const named = /^#layer=(.*)$/.exec(location.hash);
  const asked = named ? data.ids.indexOf(decodeURIComponent(named[1])) : -1;
  if (asked >= 0) pick(asked, true);
  else {
    const first = firstToLookAt();
    if (first !== null) {
      panel.show(first);
      table.choose(first);
      chart.choose(first);
    }
  }
}

function tick(title, checked, change, ...before) {
  const box = el("input", { type: "checkbox", checked });
  box.addEventListener("change", () => change(box.checked));
  return el("label", {}, box, ...before, ` ${title}`);
}

function filters(table) {
  const fill = (id, options, change) => {
    const select = byId(id);
    select.append(...options.map(([value, title]) => el("option", { value }, title)));
    select.addEventListener("change", () => change(select.value));
    return select;
  };
  const unique = (list) => [...new Set(list)].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const paths = new Set();
  data.ids.forEach((_, i) => {
    const parts = moduleOf(i).split(".");
    for (let n = 1; n <= Math.min(parts.length, 3); n += 1) if (moduleOf(i)) paths.add(parts.slice(0, n).join("."));
  });
  const present = data.verdicts.filter((verdict) => data.ids.some((_, i) => TARGETS.some((target) => verdictOf(target, i) === verdict)));
  const selects = {
    verdict: fill("f-verdict", [["", "any"], ["attention", "needs attention"], ...present.toReversed().map((each) => [each, `${MARKS[each]} ${each}`])], (verdict) => table.set({ verdict })),
    op: fill("f-op", [["", "any"], ...unique(data.ids.map((_, i) => opOf(i))).map((each) => [each, each])], (op) => table.set({ op })),
    module: fill("f-module", [["", "any"], ...unique([...paths]).map((each) => [each, each])], (module) => table.set({ module })),
    text: byId("f-text"),
  };
  fill("f-figure", Object.keys(KINDS).filter(known).map((kind) => [kind, KINDS[kind].title]), (kind) => {
    table.kind = kind;
    table.update();
  }).value = table.kind;
  const fold = byId("fold-all");
  fill("f-group", [["0", "none"], ["1", "top modules"], ["2", "2 levels"], ["3", "3 levels"], ["99", "every module"]], (depth) => {
    table.group(Number(depth));
    fold.hidden = depth === "0";
  });
  fold.addEventListener("click", () => table.foldAll());
  selects.text.addEventListener("input", () => table.set({ text: selects.text.value.trim().toLowerCase() }));
  table.onUpdate = () => {
    fold.textContent = table.folded.size ? "Expand all" : "Collapse all";
    for (const [name, field] of Object.entries(selects)) {
      if (name !== "text" || !table.filter.text) field.value = table.filter[name];
    }
  };
}

start();
