"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const theme = location.hash.slice(1);
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;

// Colours that stand out on white and on black; one for each kernel, the busiest first.
const palette = ["#2f7ed8", "#d9730d", "#2e9d5b", "#b44ac0", "#d1495b", "#0e9aa7", "#9a7b16", "#6f6be8", "#7d8790"];
const names = data.kernelNames;
const colour = (name) => palette[Math.min(names.indexOf(name), palette.length - 1)];

const time = (us) => us >= 1e6 ? (us / 1e6).toFixed(2) + " s" : us >= 1e3 ? (us / 1e3).toFixed(2) + " ms" : us.toFixed(1) + " µs";
const percent = (part) => (100 * part).toFixed(1) + " %";
function quantity(value, unit) {
  const scale = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]].find(([s]) => value >= s) || [1, ""];
  return (value / scale[0]).toPrecision(3) + " " + scale[1] + unit;
}
function element(tag, attributes, text) {
  const svg = ["svg", "g", "line", "circle", "path", "text"].includes(tag);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
  if (text !== undefined) e.textContent = text;
  return e;
}
const tip = $("tip");
function showTip(event, text) {
  tip.textContent = text;
  tip.style.display = "block";
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)) + "px";
}
const hideTip = () => { tip.style.display = "none"; };

// A table of rows; a column is [title, is text ("wrap": long), cell of a row].
function table(id, columns, rows) {
  const head = element("tr");
  for (const [title, text] of columns) head.append(element("th", text ? { class: "t" } : {}, title));
  $(id).append(head);
  for (const row of rows) {
    const line = element("tr");
    for (const [, text, value] of columns) {
      const cell = element("td", text ? { class: text === "wrap" ? "t wrap" : "t" } : {});
      cell.append(value(row));
      line.append(cell);
    }
    $(id).append(line);
  }
}
function named(name, shown) {
  const span = element("span");
  span.append(element("span", { class: "chip", style: "background:" + colour(name) }), shown);
  return span;
}
const bar = (part) => element("span", { class: "bar", style: `width:${Math.max(1, 140 * part)}px;background:#2f7ed8` });

const total = data.kinds.reduce((sum, k) => sum + k.time, 0);
$("about").textContent = data.about;
table("phases", [
  ["phase", true, (p) => p.name], ["runs", false, (p) => String(p.runs)],
  ["wall time a run", false, (p) => time(p.wall / p.runs)], ["GPU time a run", false, (p) => time(p.busy / p.runs)],
  ["dispatches a run", false, (p) => (p.count / p.runs).toFixed(0)],
  ["GPU time / wall time", false, (p) => percent(p.busy / p.wall)], ["", true, (p) => bar(Math.min(1, p.busy / p.wall))],
], data.phases);
table("operators", [
  ["operator", true, (o) => o.name], ["dispatches", false, (o) => String(o.count)], ["time", false, (o) => time(o.time)],
  ["mean", false, (o) => time(o.time / o.count)], ["share", false, (o) => percent(o.time / total)],
  ["", true, (o) => bar(o.time / total)],
], data.operators);

const roof = data.ceilings;
const rate = (kind) => ({ bytes: kind.bytes * kind.count / kind.time * 1e6, flops: kind.flops * kind.count / kind.time * 1e6 });
table("kernels", [
  ["kernel", true, (k) => named(k.kernel, k.kernel + (k.variant ? " · " + k.variant : ""))], ["operator", true, (k) => k.op],
  ["phase", true, (k) => k.phase], ["shapes", "wrap", (k) => k.shapes], ["grid", false, (k) => k.grid],
  ["count", false, (k) => String(k.count)], ["mean", false, (k) => time(k.time / k.count)], ["share", false, (k) => percent(k.time / total)],
  ["bytes/s", false, (k) => quantity(rate(k).bytes, "B/s") + (roof ? ` (${percent(rate(k).bytes / roof.bytes)})` : "")],
  ["FLOP/s", false, (k) => quantity(rate(k).flops, "FLOP/s") + (roof ? ` (${percent(rate(k).flops / roof.flops)})` : "")],
], data.kinds.slice(0, 60));

// --- Timeline
const canvas = $("timeline"), context = canvas.getContext("2d");
const left = 150, rowHeight = 24, rows = ["runs", "ONNX Runtime (CPU)", ...names.slice(0, 11)];
const spans = data.events.map(([start, duration, kind, node]) => ({ start, duration, kind: data.kinds[kind], node }));
const host = data.host.map(([start, duration, name]) => ({ start, duration, name }));
const first = data.runs[0].start, last = data.runs.reduce((end, r) => Math.max(end, r.start + r.duration), 0);
let from = first, to = last;
const height = 26 + rows.length * rowHeight;
canvas.style.height = height + "px";
const xOf = (t) => left + (t - from) / (to - from) * (canvas.clientWidth - left - 8);

function draw() {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, style = getComputedStyle(document.documentElement);
  canvas.width = width * ratio; canvas.height = height * ratio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, 'DejaVu Sans', sans-serif"; context.textBaseline = "middle";
  const ink = style.getPropertyValue("--ink"), soft = style.getPropertyValue("--soft"), line = style.getPropertyValue("--line");
  drawAxis(soft, line, width);
  rows.forEach((name, i) => {
    context.fillStyle = ink;
    context.fillText(name.length > 21 ? name.slice(0, 20) + "…" : name, 8, 26 + i * rowHeight + rowHeight / 2);
  });
  context.save(); context.beginPath(); context.rect(left, 0, width - left, height); context.clip();
  for (const run of data.runs) drawSpan(run.start, run.duration, 0, "#7d8790", run.name);
  for (const node of host) drawSpan(node.start, node.duration, 1, "#59636e", node.name);
  for (const s of spans) {
    const row = rows.indexOf(s.kind.kernel, 2);
    if (row > 0) drawSpan(s.start, s.duration, row, colour(s.kind.kernel), s.node);
  }
  context.restore();
}
function drawSpan(start, duration, row, fill, label) {
  const a = xOf(start), b = xOf(start + duration);
  if (b < left || a > canvas.clientWidth) return;
  context.fillStyle = fill;
  context.fillRect(a, 28 + row * rowHeight, Math.max(1, b - a - (b - a > 4 ? 1 : 0)), rowHeight - 5);
  const x = Math.max(a, left), room = b - x;
  if (room < 60) return;
  context.fillStyle = "#ffffff";
  const fits = Math.floor((room - 8) / 7);
  context.fillText(label.length > fits ? "…" + label.slice(1 - fits) : label, x + 4, 26 + row * rowHeight + rowHeight / 2);
}
function drawAxis(soft, line, width) {
  const step = niceStep((to - from) / 8);
  context.fillStyle = soft; context.strokeStyle = line; context.lineWidth = 1;
  for (let t = Math.ceil((from - first) / step) * step; t <= to - first; t += step) {
    const x = xOf(t + first);
    context.beginPath(); context.moveTo(x, 20); context.lineTo(x, height); context.stroke();
    if (x < width - 50) context.fillText(time(t), x + 3, 11);
  }
}
function niceStep(about) {
  const power = 10 ** Math.floor(Math.log10(about));
  return power * [1, 2, 5, 10].find((m) => m * power >= about);
}
function view(start, end) {
  const span = Math.min(Math.max(end - start, 5), (last - first) * 1.02);
  from = Math.min(Math.max(start, first - span * 0.01), last - span * 0.99); to = from + span;
  draw();
}
function zoom(factor, x) {
  const at = from + (x - left) / (canvas.clientWidth - left - 8) * (to - from);
  view(at - (at - from) * factor, at + (to - at) * factor);
}
function spanAt(x, y) {
  const t = from + (x - left) / (canvas.clientWidth - left - 8) * (to - from), row = Math.floor((y - 26) / rowHeight);
  const slack = 2 * (to - from) / canvas.clientWidth;
  const inside = (s) => t >= s.start - slack && t <= s.start + s.duration + slack;
  if (row < 2) return (row === 0 ? data.runs : host).find(inside);
  return spans.find((s) => rows.indexOf(s.kind.kernel, 2) === row && inside(s));
}
function describe(kind, extra) {
  const r = rate(kind);
  return `${extra}\n${kind.op} · kernel ${kind.kernel}${kind.variant ? " · variant " + kind.variant : ""}\n${kind.shapes}\n` +
    `grid ${kind.grid} · mean ${time(kind.time / kind.count)} of ${kind.count}\n` +
    `${quantity(r.bytes, "B/s")} · ${quantity(r.flops, "FLOP/s")}`;
}
canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, e.offsetX); }, { passive: false });
let grabbed = null;
canvas.addEventListener("pointerdown", (e) => { grabbed = e.offsetX; canvas.setPointerCapture(e.pointerId); });
canvas.addEventListener("pointerup", () => { grabbed = null; });
canvas.addEventListener("pointermove", (e) => {
  if (grabbed !== null) {
    const shift = (grabbed - e.offsetX) / (canvas.clientWidth - left - 8) * (to - from);
    grabbed = e.offsetX; hideTip(); view(from + shift, to + shift);
    return;
  }
  const s = e.offsetX > left ? spanAt(e.offsetX, e.offsetY) : undefined;
  if (!s) hideTip();
  else if (!s.kind) showTip(e, `${s.name}: ${time(s.duration)}`);
  else showTip(e, describe(s.kind, `${s.node}: ${time(s.duration)}`));
});
canvas.addEventListener("pointerleave", hideTip);
canvas.addEventListener("keydown", (e) => {
  const move = { ArrowLeft: -0.2, ArrowRight: 0.2 }[e.key], factor = { "+": 0.7, "=": 0.7, "-": 1.4 }[e.key];
  if (move) view(from + move * (to - from), to + move * (to - from));
  else if (factor) zoom(factor, (left + canvas.clientWidth) / 2);
  else return;
  e.preventDefault();
});
function addView(title, start, end) {
  const button = element("button", {}, title);
  button.addEventListener("click", () => view(start, end));
  $("views").append(button, " ");
}
addView("all", first, last);
for (const phase of new Set(data.runs.map((r) => r.name))) {
  const run = data.runs.find((r) => r.name === phase);
  addView("one " + phase, run.start, run.start + run.duration);
}
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
const shown = data.runs[data.runs.length - 1];
view(shown.start, shown.start + shown.duration);

// --- Roofline
const plot = $("roofline"), box = { x0: 80, x1: 1160, y0: 14, y1: 420 };
const points = data.kinds.filter((k) => k.bytes >= 4096 && k.flops > 0)
  .map((k) => ({ kind: k, x: k.flops / k.bytes, y: rate(k).flops }));
function range(values) {
  const logs = values.map(Math.log10);
  return [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs, Math.min(...logs) + 0.5))];
}
const [xa, xb] = range([...points.map((p) => p.x), ...(roof ? [roof.flops / roof.bytes * 4] : [])]);
const [ya, yb] = range([...points.map((p) => p.y), ...(roof ? [roof.flops * 1.05] : [])]);
const px = (v) => box.x0 + (Math.log10(v) - xa) / (xb - xa) * (box.x1 - box.x0);
const py = (v) => box.y1 - (Math.log10(v) - ya) / (yb - ya) * (box.y1 - box.y0);
const add = (tag, attributes, text) => { const e = element(tag, attributes, text); plot.append(e); return e; };
for (let i = xa; i <= xb; ++i) {
  add("line", { x1: px(10 ** i), x2: px(10 ** i), y1: box.y0, y2: box.y1, stroke: "var(--line)" });
  add("text", { x: px(10 ** i), y: box.y1 + 17, class: "tick", "text-anchor": "middle" }, String(+(10 ** i).toPrecision(1)));
}
for (let i = ya; i <= yb; ++i) {
  add("line", { x1: box.x0, x2: box.x1, y1: py(10 ** i), y2: py(10 ** i), stroke: "var(--line)" });
  add("text", { x: box.x0 - 8, y: py(10 ** i) + 4, class: "tick", "text-anchor": "end" }, quantity(10 ** i, "FLOP/s").replace(/\.0+/, ""));
}
add("text", { x: (box.x0 + box.x1) / 2, y: 458, "text-anchor": "middle" }, "operations per byte");
if (roof) {
  const knee = roof.flops / roof.bytes, start = Math.max(10 ** xa, 10 ** ya / roof.bytes);
  add("path", { d: `M${px(start)} ${py(start * roof.bytes)}L${px(knee)} ${py(roof.flops)}L${box.x1} ${py(roof.flops)}`,
    fill: "none", stroke: "var(--ceiling)", "stroke-width": 2 });
  add("text", { x: box.x1 - 6, y: py(roof.flops) - 7, "text-anchor": "end" }, "MatMul " + roof.dtype + " " + quantity(roof.flops, "FLOP/s"));
  const middle = Math.sqrt(start * knee);
  add("text", { x: px(middle) - 8, y: py(middle * roof.bytes) - 8, "text-anchor": "end" }, "streaming " + quantity(roof.bytes, "B/s"));
  $("roofnote").textContent = "Each dot is a kernel at one shape; its area is its share of the GPU time; kernels that move less than 4 kB " +
    "are left out. The line is what this device reached in the same session: the streaming rate of a copy-like kernel, and the rate of a large MatMul.";
} else {
  $("roofnote").textContent = "Each dot is a kernel at one shape; its area is its share of the GPU time; kernels that move less than 4 kB " +
    "are left out. The device's ceilings were not measured.";
}
const labels = [];
for (const p of points) {
  const dot = add("circle", { cx: px(p.x), cy: py(p.y), r: 4 + 26 * Math.sqrt(p.kind.time / total), fill: colour(p.kind.kernel),
    "fill-opacity": 0.75, stroke: "var(--ink)", "stroke-width": 0.8 });
  dot.addEventListener("pointermove", (e) => showTip(e, describe(p.kind, p.kind.phase)));
  dot.addEventListener("pointerleave", hideTip);
}
for (const p of points.slice(0, 12)) {
  const x = px(p.x) + 8 + 26 * Math.sqrt(p.kind.time / total), y = py(p.y) + 4;
  if (labels.some((l) => Math.abs(l.x - x) < 170 && Math.abs(l.y - y) < 14)) continue;
  labels.push({ x, y });
  const right = x > box.x1 - 200;
  add("text", { x: right ? 2 * px(p.x) - x : x, y, class: "name", "text-anchor": right ? "end" : "start" }, `${p.kind.kernel} (${p.kind.phase})`);
}
