"use strict";
// The large figure: price with trades, equity, and how far equity is below its peak, on one axis of time. Wheel zooms at
// the pointer, dragging pans, a double click shows everything. Stretches without records are left out of the axis.
const data = JSON.parse(document.getElementById("data").textContent);
const figure = document.getElementById("figure"), canvas = figure.querySelector("canvas"), card = document.getElementById("hover");
const pen = canvas.getContext("2d"), picker = document.getElementById("symbol");
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30].map(n => n * SECOND).concat([1, 2, 5, 10, 15, 30].map(n => n * MINUTE),
  [1, 2, 3, 6, 12].map(n => n * HOUR), [1, 2, 7, 14, 30, 91, 182, 365].map(n => n * DAY));
const LEFT = 12, RIGHT = 76, TOP = 8, BOTTOM = 26, GAP = 18;

// ---- time: milliseconds on the exchange's clock to a position on the axis and back
const segments = data.segments, last = segments[segments.length - 1];
const whole = [0, last[2] + last[1] - last[0] || 1];
let view = whole.slice(), pointer = null, drag = null;
const under = (list, key, value) => { let a = 0, b = list.length; while (a < b) { const m = (a + b) >> 1; key(list[m]) <= value ? a = m + 1 : b = m; } return Math.max(0, a - 1); };
const toX = t => { const s = segments[under(segments, s => s[0], t)]; return s[2] + Math.min(Math.max(t - s[0], 0), s[1] - s[0]); };
const toT = x => { const s = segments[under(segments, s => s[2], x)]; return s[0] + Math.min(Math.max(x - s[2], 0), s[1] - s[0]); };
const two = n => String(n).padStart(2, "0");
const day = t => new Date(t).toISOString().slice(0, 10);
const clock = (t, step) => { const d = new Date(t), hm = two(d.getUTCHours()) + ":" + two(d.getUTCMinutes()); return step < MINUTE ? hm + ":" + two(d.getUTCSeconds()) : hm; };
const exact = t => day(t) + " " + new Date(t).toISOString().slice(11, 23);
const signed = (v, digits) => (v < 0 ? "\u2212" : "+") + Math.abs(v).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const plain = (v, digits) => (v < 0 ? "\u2212" : "") + Math.abs(v).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

// ---- what is drawn
const symbols = data.symbols.map(s => ({ ...s, x: s.t.map(toX) }));
const trades = data.trades.map(t => ({ symbol: t[0], side: t[1], from: t[2], to: t[3], x0: toX(t[2]), x1: toX(t[3]), p0: t[4], p1: t[5], qty: t[6], reason: t[7], gross: t[8], costs: t[9], net: t[10], mae: t[11], mfe: t[12] }));
const equity = { x: data.equity.t.map(toX), v: data.equity.v }, falls = [];
equity.v.reduce((peak, v) => { const top = Math.max(peak, v); falls.push(v - top); return top; }, -Infinity);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const px = (x, w) => LEFT + (x - view[0]) / (view[1] - view[0]) * (w - LEFT - RIGHT);

function range(xs, vs, before) { // smallest and largest value in view; `before`: the value that the view begins with counts
  let i = under(xs, x => x, view[0]), low = Infinity, high = -Infinity;
  if (!before && xs[i] < view[0]) i++;
  for (; i < xs.length && xs[i] <= view[1]; i++) { low = Math.min(low, vs[i]); high = Math.max(high, vs[i]); }
  return [low, high];
}
function widen([low, high]) { if (!(low <= high)) return [0, 1]; const room = (high - low) * 0.08 || Math.abs(high) * 0.001 || 1; return [low - room, high + room]; }

function pane(top, height, [low, high], w) { // frame, grid and labels; returns value to pixel
  const y = v => top + height - (v - low) / (high - low) * height;
  const raw = (high - low) / Math.max(2, height / 40), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= raw);
  pen.lineWidth = 1; pen.strokeStyle = colour("line"); pen.fillStyle = colour("quiet"); pen.textAlign = "left"; pen.textBaseline = "middle";
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
    pen.beginPath(); pen.moveTo(LEFT, Math.round(y(v)) + 0.5); pen.lineTo(w - RIGHT, Math.round(y(v)) + 0.5); pen.stroke();
    pen.fillText(plain(v, step < 1 ? Math.min(8, Math.ceil(-Math.log10(step))) : 0), w - RIGHT + 8, y(v));
  }
  return y;
}
function name(title, y) { // drawn last, on a seam of the background: readable over whatever is there
  pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "left"; pen.textBaseline = "top"; pen.lineJoin = "round";
  pen.lineWidth = 5; pen.strokeStyle = colour("card"); pen.strokeText(title, LEFT + 4, y + 2);
  pen.fillStyle = colour("quiet"); pen.fillText(title, LEFT + 4, y + 2); pen.font = "12px system-ui, sans-serif";
}
function timeAxis(w, h) {
  const span = view[1] - view[0], step = STEPS.find(s => s >= span / (w / 110)) || STEPS[STEPS.length - 1];
  let until = -Infinity, shown = "";
  const put = (place, label, date) => {
    const x = px(place, w);
    if (x < until || x > w - RIGHT || place < view[0]) return;
    pen.beginPath(); pen.moveTo(Math.round(x) + 0.5, TOP); pen.lineTo(Math.round(x) + 0.5, h - BOTTOM); pen.globalAlpha = 0.6; pen.stroke(); pen.globalAlpha = 1;
    const at = Math.max(x, LEFT + 34); pen.fillText(label, at, h - 8); until = at + 84; shown = date;
  };
  pen.textAlign = "center"; pen.textBaseline = "alphabetic"; pen.fillStyle = colour("quiet"); pen.strokeStyle = colour("line"); pen.lineWidth = 1;
  for (const [begin, end, x0] of segments) {
    if (x0 > view[1]) break;
    if (x0 + end - begin < view[0]) continue;
    if (day(begin) !== shown && segments.length > 1) put(x0, day(begin), day(begin)); // a day's first records
    const first = Math.max(begin, begin + view[0] - x0);
    for (let t = Math.ceil(first / step) * step; t <= end && x0 + t - begin <= view[1]; t += step) {
      if (step >= DAY ? day(t) !== shown : true) put(x0 + t - begin, step >= DAY || (shown && day(t) !== shown) ? day(t) : clock(t, step), day(t));
    }
  }
}
function line(xs, vs, y, w, step) {
  const from = Math.max(0, under(xs, x => x, view[0]) - 1);
  pen.beginPath();
  for (let i = from, before = null; i < xs.length; i++) {
    const x = px(xs[i], w), v = y(vs[i]);
    if (before === null) pen.moveTo(x, v); else { if (step) pen.lineTo(x, before); pen.lineTo(x, v); }
    before = v;
    if (xs[i] > view[1]) break;
  }
}
function marker(x, y, shape, size) {
  pen.beginPath();
  if (shape === 0) pen.arc(x, y, size * 0.7, 0, 7);
  else { const d = shape * size; pen.moveTo(x, y - d); pen.lineTo(x + size, y + d * 0.8); pen.lineTo(x - size, y + d * 0.8); pen.closePath(); }
}
function drawTrades(chosen, y, w) {
  const seen = trades.filter(t => t.symbol === chosen && t.x1 >= view[0] && t.x0 <= view[1]), size = seen.length > 400 ? 3.5 : 5.5;
  for (const t of seen) {
    pen.strokeStyle = pen.fillStyle = colour(t.net < 0 ? "down" : "up");
    pen.lineWidth = 1.6; pen.setLineDash(t.net < 0 ? [4, 3] : []); pen.beginPath(); pen.moveTo(px(t.x0, w), y(t.p0)); pen.lineTo(px(t.x1, w), y(t.p1)); pen.stroke(); pen.setLineDash([]);
    marker(px(t.x0, w), y(t.p0) + t.side * (size + 3), t.side, size); pen.fill();
    pen.lineWidth = 1.5; marker(px(t.x1, w), y(t.p1), 0, size); pen.fillStyle = colour("card"); pen.fill(); pen.stroke();
    if (seen.length <= 60) { pen.fillStyle = colour("quiet"); pen.textAlign = "center"; pen.textBaseline = "bottom"; pen.font = "10px system-ui, sans-serif"; pen.fillText(t.reason, px(t.x1, w), y(t.p1) - 7); pen.font = "12px system-ui, sans-serif"; }
  }
  return seen;
}
function draw() {
  const w = figure.clientWidth, h = figure.clientHeight, dots = devicePixelRatio || 1;
  canvas.width = w * dots; canvas.height = h * dots; pen.setTransform(dots, 0, 0, dots, 0, 0); pen.clearRect(0, 0, w, h); pen.font = "12px system-ui, sans-serif";
  const room = h - TOP - BOTTOM - 2 * GAP, heights = [room * 0.6, room * 0.23, room * 0.17], chosen = picker ? +picker.value : 0, s = symbols[chosen];
  timeAxis(w, h);
  const clip = (top, height) => { pen.save(); pen.beginPath(); pen.rect(LEFT, top - 2, w - LEFT - RIGHT, height + 4); pen.clip(); };
  const y = pane(TOP, heights[0], widen(range(s.x, s.p, true)), w);
  clip(TOP, heights[0]); pen.strokeStyle = colour("price"); pen.lineWidth = 1; pen.lineJoin = "round"; line(s.x, s.p, y, w); pen.stroke();
  const seen = drawTrades(chosen, y, w); pen.restore();
  const top1 = TOP + heights[0] + GAP, y1 = pane(top1, heights[1], widen(range(equity.x, equity.v, true)), w);
  clip(top1, heights[1]); pen.strokeStyle = colour("accent"); pen.lineWidth = 1.8; line(equity.x, equity.v, y1, w, true); pen.lineTo(px(whole[1], w), y1(equity.v[equity.v.length - 1])); pen.stroke(); pen.restore();
  const top2 = top1 + heights[1] + GAP, depth = Math.min(range(equity.x, falls, true)[0], 0), y2 = pane(top2, heights[2], [depth * 1.12 || -1, 0], w);
  clip(top2, heights[2]); line(equity.x, falls, y2, w, true); pen.lineTo(px(whole[1], w), y2(falls[falls.length - 1])); pen.strokeStyle = colour("down"); pen.lineWidth = 1.2; pen.stroke();
  pen.lineTo(px(whole[1], w), y2(0)); pen.lineTo(px(equity.x[Math.max(0, under(equity.x, x => x, view[0]) - 1)], w), y2(0)); pen.globalAlpha = 0.25; pen.fillStyle = colour("down"); pen.fill(); pen.restore();
  name(s.name, TOP); name("equity after each closed trade", top1); name("below the highest equity so far", top2 + 4);
  hover(seen, s, y, w, h);
}
function hover(seen, s, y, w, h) {
  card.style.display = "none";
  if (!pointer || drag || pointer.x < LEFT || pointer.x > w - RIGHT) return;
  const x = view[0] + (pointer.x - LEFT) / (w - LEFT - RIGHT) * (view[1] - view[0]), t = toT(x), money = data.digits;
  pen.strokeStyle = colour("neutral"); pen.setLineDash([3, 3]); pen.lineWidth = 1; pen.beginPath(); pen.moveTo(pointer.x, TOP); pen.lineTo(pointer.x, h - BOTTOM); pen.stroke(); pen.setLineDash([]);
  let near = null, best = 18;
  for (const one of seen) for (const [a, b] of [[one.x0, one.p0], [one.x1, one.p1]]) { const d = Math.hypot(px(a, w) - pointer.x, y(b) - pointer.y); if (d < best) { best = d; near = one; } }
  const rows = near ? [
    [(near.side > 0 ? "\u25B2 long " : "\u25BC short ") + near.qty, near.reason + (near.net < 0 ? "  loss" : near.net > 0 ? "  win" : "  even")],
    ["in", exact(near.from) + "   " + plain(near.p0, s.digits)], ["out", exact(near.to) + "   " + plain(near.p1, s.digits)], ["held", plain((near.to - near.from) / 1000, 3) + " s"],
    ["gross", signed(near.gross, money)], ["costs", plain(near.costs, money)], ["net", signed(near.net, money)], ["worst, best", signed(near.mae, money) + ", " + signed(near.mfe, money)],
  ] : [["", exact(t)], [s.name, plain(s.p[under(s.x, v => v, x)], s.digits)], ["equity", plain(equity.v[under(equity.x, v => v, x)], 2)]];
  const table = document.createElement("table");
  for (const row of rows) { const tr = table.insertRow(); for (const text of row) tr.insertCell().textContent = text; }
  card.replaceChildren(table); card.style.display = "block";
  card.style.left = (pointer.x + card.offsetWidth + 24 > w ? pointer.x - card.offsetWidth - 14 : pointer.x + 14) + "px";
  card.style.top = Math.min(Math.max(0, pointer.y - 20), h - card.offsetHeight) + "px";
}

// ---- the pointer
const look = (begin, end) => { const span = Math.min(Math.max(end - begin, 200), whole[1]); begin = Math.min(Math.max(begin, 0), whole[1] - span); view = [begin, begin + span]; };
canvas.addEventListener("wheel", e => { e.preventDefault(); const part = (e.offsetX - LEFT) / (canvas.clientWidth - LEFT - RIGHT), span = view[1] - view[0], next = Math.min(span * 1.0015 ** e.deltaY, whole[1]); look(view[0] + part * (span - next), view[0] + part * (span - next) + next); draw(); }, { passive: false });
canvas.addEventListener("pointerdown", e => { drag = { at: e.offsetX, view: view.slice() }; canvas.setPointerCapture(e.pointerId); });
canvas.addEventListener("pointermove", e => { pointer = { x: e.offsetX, y: e.offsetY }; if (drag) { const move = (drag.at - e.offsetX) / (canvas.clientWidth - LEFT - RIGHT) * (drag.view[1] - drag.view[0]); look(drag.view[0] + move, drag.view[1] + move); } draw(); });
canvas.addEventListener("pointerup", () => { drag = null; draw(); });
canvas.addEventListener("pointerleave", () => { pointer = null; draw(); });
canvas.addEventListener("dblclick", () => { view = whole.slice(); draw(); });
document.getElementById("everything").addEventListener("click", () => { view = whole.slice(); draw(); });
document.querySelectorAll("tr[data-trade]").forEach(row => row.addEventListener("click", () => {
  const t = trades[+row.dataset.trade], room = Math.max((t.x1 - t.x0) * 3, 5 * SECOND);
  if (!t) return; if (picker) picker.value = t.symbol; look(t.x0 - room, t.x1 + room); draw(); figure.scrollIntoView({ block: "center" });
}));
if (picker) picker.addEventListener("change", draw);
const theme = dark => { document.documentElement.dataset.theme = dark ? "dark" : "light"; draw(); };
const system = matchMedia("(prefers-color-scheme: dark)");
document.getElementById("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme !== "dark"));
system.addEventListener("change", e => theme(e.matches));
addEventListener("resize", draw);
theme(system.matches);
