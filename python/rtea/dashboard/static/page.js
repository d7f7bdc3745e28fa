// Draws the state of /api/state. Every text goes into the page as text: names come from events.

const POLL_MS = 2000;
const COLOURS = ["#0b5cad", "#b35900", "#1a7f37", "#8250df", "#bf3989", "#6e7781", "#0598bc", "#9a6700", "#cf222e", "#4d2d00", "#57606a"];
const DARK_COLOURS = ["#6cb6ff", "#f69d50", "#57ab5a", "#b083f0", "#e275ad", "#909dab", "#39c5cf", "#c69026", "#ff938a", "#d4a72c", "#768390"];

const byId = (id) => document.getElementById(id);
const charts = new Map();
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let etag = "";
let state = null;
let ahead = 0; // How far the server's clock is ahead of this one, in ms.

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : prefersDark.matches;
}

// Numbers and times.

function show(value, unit, currency) {
  if (value === null || value === undefined) return "–";
  if (unit === "money") {
    try {
      return new Intl.NumberFormat(undefined, { style: "currency", currency, maximumFractionDigits: value >= 1000 ? 0 : 2 }).format(value);
    } catch {
      return `${value.toLocaleString()} ${currency}`;
    }
  }
  if (unit === "percent") return new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 }).format(value);
  return value.toLocaleString(undefined, { maximumFractionDigits: value < 100 ? 1 : 0 });
}

function time(ms, withDay) {
  const zone = byId("zone").value === "utc" ? "UTC" : undefined;
  const options = { hour: "2-digit", minute: "2-digit", timeZone: zone, hourCycle: "h23" };
  if (withDay) Object.assign(options, { month: "short", day: "numeric" });
  return new Intl.DateTimeFormat(undefined, options).format(ms);
}

function axisTime(ms) {
  return time(ms, state.range !== "hour");
}

// Tiles.

function spark(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (values.length > 1) {
    const most = Math.max(...values) || 1;
    const points = values.map((value, n) => `${(n * 100) / (values.length - 1)},${29 - (value / most) * 27}`).join(" ");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    for (const [name, value] of Object.entries({ points, fill: "none", stroke: "currentColor", "stroke-width": 2, "vector-effect": "non-scaling-stroke" })) line.setAttribute(name, value);
    svg.append(line);
  }
  return svg;
}

function drawTiles(tiles) {
  const box = byId("tiles");
  keep(box, tiles.map((tile) => tile.id), () => {
    const card = element("div", "card tile");
    card.append(element("div", "label"), element("div", "value"), element("div", "change note"), spark([]), element("div", "note"));
    card.children[1].setAttribute("aria-live", "polite");
    return card;
  });
  tiles.forEach((tile, n) => {
    const [label, value, change, line, note] = box.children[n].children;
    set(label, tile.label);
    set(value, show(tile.value, tile.unit, tile.currency));
    const isKnown = tile.change !== null && Number.isFinite(tile.change);
    set(change, isKnown ? `${tile.change >= 0 ? "▲" : "▼"} ${show(Math.abs(tile.change), "percent")} ${tile.against}` : "\u00a0");
    change.className = `change note ${isKnown ? (tile.change >= 0 ? "up" : "down") : ""}`;
    line.replaceWith(spark(tile.spark));
    set(note, tile.note);
  });
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Keeps the children of a box in step with a list of ids, so that charts and focus stay.
function keep(box, ids, make) {
  const known = new Map([...box.children].map((child) => [child.dataset.id, child]));
  ids.forEach((id, n) => {
    let child = known.get(id);
    if (!child) {
      child = make(id);
      child.dataset.id = id;
    }
    known.delete(id);
    if (box.children[n] !== child) box.insertBefore(child, box.children[n] || null);
  });
  for (const [id, child] of known) {
    charts.get(id)?.dispose();
    charts.delete(id);
    child.remove();
  }
}

// Panels.

function drawPanels(panels) {
  const box = byId("panels");
  keep(box, panels.map((panel) => panel.id), (id) => {
    const card = element("div", "card panel");
    const details = element("details");
    details.append(element("summary", "", "Show as a table"), element("div", "scroll"));
    details.addEventListener("toggle", () => drawTable(id));
    card.append(element("h3"), element("div", "note"), element("div", "chart"), details);
    card.querySelector(".scroll").tabIndex = 0;
    return card;
  });
  panels.forEach((panel, n) => {
    const card = box.children[n];
    set(card.children[0], panel.title);
    const rest = panel.rest ? `All others together: ${show(panel.rest, panel.unit, panel.currency)}.` : "";
    set(card.children[1], [panel.note, rest].filter(Boolean).join(" ") || "\u00a0");
    card.children[2].setAttribute("role", "img");
    card.children[2].setAttribute("aria-label", `${panel.title}: the table below has the numbers`);
    card.querySelector(".scroll").setAttribute("aria-label", `${panel.title}, table`);
    card.querySelector(".scroll").setAttribute("role", "region");
    let chart = charts.get(panel.id);
    if (!chart) {
      chart = echarts.init(card.children[2], null, { renderer: "canvas" });
      charts.set(panel.id, chart);
    }
    chart.setOption(option(panel), { notMerge: true, lazyUpdate: true });
    drawTable(panel.id);
  });
}

function option(panel) {
  const style = getComputedStyle(document.documentElement);
  const [text, muted, line] = ["--text", "--muted", "--line"].map((name) => style.getPropertyValue(name).trim());
  const isTime = panel.kind === "stacked" || panel.kind === "lines";
  const format = (value) => show(value, panel.unit, panel.currency);
  const names = isTime ? panel.labels.map(axisTime) : [...panel.labels].reverse();
  const category = { type: "category", data: names, axisLabel: { color: muted, hideOverlap: true, width: 120, overflow: "truncate" }, axisLine: { lineStyle: { color: line } } };
  const value = { type: "value", axisLabel: { color: muted, formatter: short, hideOverlap: true }, splitLine: { lineStyle: { color: line } }, splitNumber: 4 };
  const series = panel.series.map((one) => ({
    name: one.name,
    type: panel.kind === "lines" ? "line" : "bar",
    stack: panel.kind === "stacked" ? "all" : undefined,
    showSymbol: false,
    barMaxWidth: 28,
    data: isTime ? one.values : [...one.values].reverse(),
  }));
  return {
    animation: !reducedMotion.matches && document.visibilityState === "visible",
    animationDuration: 200,
    animationDurationUpdate: 200,
    aria: { enabled: true, decal: { show: false } },
    color: isDark() ? DARK_COLOURS : COLOURS,
    textStyle: { color: text },
    grid: { left: 8, right: 16, top: panel.series.length > 1 ? 64 : 16, bottom: 8, containLabel: true },
    legend: panel.series.length > 1 ? { type: "scroll", top: 0, textStyle: { color: text }, pageTextStyle: { color: text }, pageIconColor: muted } : undefined,
    tooltip: { trigger: "axis", confine: true, renderMode: "richText", valueFormatter: format },
    xAxis: isTime ? category : value,
    yAxis: isTime ? value : category,
    series,
  };
}

function short(value) {
  return new Intl.NumberFormat(undefined, { notation: "compact" }).format(value);
}

function drawTable(id) {
  const card = [...byId("panels").children].find((child) => child.dataset.id === id);
  const panel = state?.panels.find((each) => each.id === id);
  const details = card?.querySelector("details");
  if (!panel || !details?.open) {
    card?.querySelector(".scroll").replaceChildren();
    return;
  }
  const isTime = panel.kind === "stacked" || panel.kind === "lines";
  const rows = panel.labels.map((label, n) => [isTime ? axisTime(label) : String(label), ...panel.series.map((one) => show(one.values[n], panel.unit, panel.currency))]);
  details.querySelector(".scroll").replaceChildren(table([isTime ? "time" : "name", ...panel.series.map((one) => one.name)], rows, panel.title));
}

function table(names, rows, caption) {
  const made = element("table");
  made.setAttribute("aria-label", caption);
  const head = element("tr");
  names.forEach((name, n) => {
    const cell = element("th", n ? "number" : "", name);
    cell.scope = "col";
    head.append(cell);
  });
  const top = element("thead");
  top.append(head);
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.forEach((value, n) => line.append(element("td", n ? "number" : "", value)));
    body.append(line);
  }
  made.append(top, body);
  return made;
}

// The pipeline.

function ago(seconds) {
  if (seconds < 120) return `${Math.max(0, seconds).toFixed(0)} s ago`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min ago` : `${(seconds / 3600).toFixed(0)} h ago`;
}

function drawPipeline(found) {
  const cards = [];
  const card = (title, rows, more) => {
    const box = element("div", "card");
    box.append(element("h3", "", title));
    if (rows.length) box.append(table(["what", "value"], rows.map(([name, value]) => [name, value]), title));
    if (more) box.append(more);
    cards.push(box);
  };
  const ageS = found.newest_end_ms ? (Date.now() + ahead - found.newest_end_ms) / 1000 : null;
  const job = found.job || {};
  card("Freshness", [
    ["newest final window ended", ageS === null ? "–" : ago(ageS)],
    ["records not read yet", show(job.lag, "count")],
    ["windows corrected lately", String((found.corrected || []).length)],
  ]);
  card("Job", [
    ["state", job.state || "–"],
    ["checkpoints", show(job.checkpoints, "count")],
    ["failed checkpoints", show(job.failed_checkpoints, "count")],
    ["restarts", show(job.restarts, "count")],
  ]);
  const refused = Object.entries(found.dead_letters || {});
  card("Refused, last hour", [["late events", show(found.late, "count")], ...refused.map(([reason, count]) => [reason, show(count, "count")])]);
  const partitions = (found.partitions || []).map((each) => [
    `${each.partition}${each.holds ? " (slowest)" : ""}`,
    show(each.lag, "count"),
    each.is_idle ? "idle" : each.delay_s === null ? "–" : `${each.delay_s.toFixed(1)} s`,
  ]);
  if (partitions.length) card("Partitions", [], table(["partition", "unread", "event time behind"], partitions, "Partitions"));
  if (found.verified) {
    const text = found.verified.problem || `${found.verified.matching} of ${found.verified.windows} windows equal the manifest`;
    card("Verified", [["result", text]]);
  }
  byId("pipeline").replaceChildren(...cards);
}

// Everything.

function draw() {
  const { status, running } = state;
  document.body.dataset.state = status.state;
  const texts = {
    live: () => `Live: final up to ${time(status.newest_ms)}`,
    stopped: () => `No new results since ${time(status.since_ms, true)}`,
    nothing: () => "Nothing yet",
    down: () => "The pipeline is down",
  };
  set(byId("status-text"), texts[status.state]());
  const message = byId("message");
  message.hidden = status.state === "live";
  if (!message.hidden) message.replaceChildren(`${status.text}: type `, element("code", "", status.command));
  set(byId("running"), running ? `Running now: ${time(running.start_ms)} to ${time(running.end_ms)}, ${show(running.events, "count")} events so far (early, not final)` : "");
  byId("running").hidden = !running;
  const sources = ["all", ...state.sources];
  const choice = byId("source");
  if (sources.join() !== [...choice.options].map((each) => each.value).join()) {
    const chosen = choice.value;
    choice.replaceChildren(...sources.map((name) => new Option(name, name)));
    choice.value = sources.includes(chosen) ? chosen : "all";
  }
  drawTiles(state.tiles);
  drawPanels(state.panels);
  drawPipeline(state.pipeline);
}

async function poll() {
  if (document.visibilityState === "hidden") return;
  const query = new URLSearchParams({ range: byId("range").value, source: byId("source").value });
  try {
    const answer = await fetch(`api/state?${query}`, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
    if (answer.status === 304) {
      drawPipeline(state.pipeline); // The ages grow.
      return;
    }
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    etag = answer.headers.get("ETag") || "";
    state = await answer.json();
    ahead = state.server_ms - Date.now();
    draw();
  } catch (error) {
    document.body.dataset.state = "down";
    set(byId("status-text"), "The page cannot reach rtea dashboard");
    byId("message").hidden = false;
    byId("message").replaceChildren(`${error.message}: type `, element("code", "", "rtea dashboard"));
    etag = "";
  }
}

function redraw() {
  if (state) draw();
}

function refresh() {
  etag = "";
  poll();
}

function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  const dark = isDark();
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-pressed", String(Boolean(document.documentElement.dataset.theme)));
  redraw();
}

byId("range").addEventListener("change", refresh);
byId("source").addEventListener("change", refresh);
byId("zone").addEventListener("change", redraw);
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("theme").addEventListener("click", () => {
  const name = isDark() ? "light" : "dark";
  try { localStorage.setItem("theme", name); } catch { /* It is not kept then. */ }
  setTheme(name);
});
prefersDark.addEventListener("change", () => setTheme());
document.addEventListener("visibilitychange", poll);
addEventListener("resize", () => charts.forEach((chart) => chart.resize()));

let stored = null;
try { stored = localStorage.getItem("theme"); } catch { /* Storage may be forbidden. */ }
setTheme(stored);
poll();
// For tests: the timer, and a function that draws a state as if it had come.
window.rtea = { polling: setInterval(poll, POLL_MS), draw: (given) => { state = given; draw(); } };
