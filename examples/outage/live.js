"use strict";

// The page shows frames, which the program sends four times a second, and posts what buttons are pressed.

const names = ["plain", "naive", "careful", "belay"];
const servers = ["A", "B", "C", "D"];
const minute = 60000; // milliseconds, the width of the drawing
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let frames = []; // of the last minute
let held = false;
let asked = false; // a drawing is on its way
let drawn = 0; // when the last one was

// ---- the program

function connect() {
  const source = new EventSource("events");
  source.onopen = () => {
    frames = []; // the past comes again
    say("connection", "");
  };
  source.addEventListener("frame", (e) => {
    const frame = JSON.parse(e.data);
    tell(frame, frames.at(-1));
    frames.push(frame);
    frames = frames.filter((f) => f.At > frame.At - minute);
    show(frame);
    ask();
  });
  source.onerror = () => {
    say("connection", "No news from the program. If it has ended, start it again: go run ./examples/outage -live");
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(connect, 3000);
    }
  };
}

async function post(path) {
  try {
    const response = await fetch(path, { method: "POST" });
    say("connection", response.ok ? "" : "The program refuses: " + (await response.text()));
  } catch {
    say("connection", "The button has not reached the program.");
  }
}

for (const button of document.querySelectorAll("[data-post]")) {
  button.addEventListener("click", () => post(button.dataset.post));
}
document.getElementById("pause").addEventListener("click", (e) => {
  held = !held;
  e.currentTarget.setAttribute("aria-pressed", held);
  ask();
});

// ---- words and figures

function say(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) { // what does not change is not to be read out again
    element.textContent = text;
  }
}

const percent = (client) => (client.Ended === 0 ? "-" : Math.floor((100 * client.OK) / client.Ended) + " %");
const round = (x) => String(Math.round(x));
const plural = (n, thing) => n + " " + thing + (n === 1 ? "" : "s");

function show(frame) {
  const busy = frames.some((f) => f.Late > 200 && f.At > frame.At - 5000);
  say("busy", busy ? "This machine is too busy to make the calls in time: the figures say little about the clients." : "");
  frame.Clients.forEach((client, i) => {
    document.querySelector(`[data-now="${names[i]}"]`).textContent = percent(client);
    const cells = document.querySelectorAll(`[data-client="${names[i]}"] td`);
    cells[1].textContent = percent(client);
    cells[2].textContent = client.Ended === 0 ? "-" : client.Wait + " ms";
    cells[3].textContent = client.Sent + " a second";
  });
  for (const button of document.querySelectorAll("[data-post]")) {
    button.setAttribute("aria-pressed", isPressed(button.dataset.post.split("/"), frame));
  }
  const { Breaker, Endpoints, Budget, Limiter } = frame.Belay;
  state(document.getElementById("breaker"), Breaker.State, frame.States[4], breakerWords(Breaker));
  Endpoints.forEach((e, i) => {
    state(document.querySelector(`[data-endpoint="${servers[i]}"]`), e.State, frame.States[i], `server ${servers[i]}, ` + endpointWords(e, frame.States[i]), e.Reason);
  });
  document.getElementById("budget").value = Budget.Left;
  say("budget-text", `${round(Budget.Left)} of 10 left; ${plural(Budget.Granted, "retry").replace("retrys", "retries")} so far, ${Budget.Refused} refused`);
  const limiter = document.getElementById("limiter");
  limiter.max = Limiter.Burst;
  limiter.value = Limiter.Free;
  say("limiter-text", `at most ${round(Limiter.Rate)} a second; ${Limiter.Waiting} wait, ${Limiter.Refused} refused so far`);
}

function isPressed([kind, which, press], frame) {
  if (kind === "calls") {
    return frame.Rush === (which === "rush");
  }
  return which === "all" ? frame.Faults.every((f) => f === press) : frame.Faults[servers.indexOf(which)] === press;
}

function state(element, name, shown, words, reason = "") {
  element.dataset.state = name;
  element.dataset.shown = shown;
  const text = reason === "" ? words : `${words} (${reason})`;
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function breakerWords(b) {
  switch (b.State) {
    case "open":
      return `open: calls are refused at once; trials in ${b.Seconds.toFixed(0)} s`;
    case "half-open":
      return "half-open: a few trials find out whether the servers are back";
  }
  return `closed: calls go through; ${b.Bad} of the last ${b.Calls} failed`;
}

function endpointWords(e, shown) {
  if (shown === "passed") {
    return `healthy, but expected to answer in ${e.Expects} ms: calls go to quicker ones`;
  }
  if (shown === "out" && e.State !== "ejected") {
    return `${e.State}, but the breaker is open: no calls`;
  }
  const running = `${e.Sent} requests a second, ${e.Running} under way`;
  switch (e.State) {
    case "healthy":
      return `healthy: ${running}`;
    case "slow start":
      return `slow start: it is back and gets more and more calls; ${running}`;
    case "half-open":
      return "half-open: one call tries it";
    case "cooling":
      return "cooling: it has asked to be left alone";
    case "ejected":
      return `ejected: its calls fail, so it gets none; ${running}`;
  }
  return `${e.State}: ${running}`;
}

// tell says aloud what changes seldom and matters.
function tell(frame, last) {
  if (last === undefined) {
    return;
  }
  const news = [];
  servers.forEach((s, i) => {
    if (frame.Faults[i] !== last.Faults[i]) {
      news.push(frame.Faults[i] === "mend" ? `server ${s} is well` : `server ${s}: ${frame.Faults[i]}`);
    }
  });
  if (frame.Belay.Breaker.State !== last.Belay.Breaker.State) {
    news.push(`Belay's breaker is ${frame.Belay.Breaker.State}`);
  }
  if (news.length > 0) {
    say("news", news.join(", "));
  }
}

// ---- the drawing

function ask() {
  if (!asked) {
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      const now = performance.now();
      if (!held && frames.length > 0 && !(calm.matches && now - drawn < 1000)) {
        drawn = now;
        draw();
      }
    });
  }
}

const panelHeight = 140;
const rowHeight = 18;

function draw() {
  const place = document.getElementById("drawing");
  const width = Math.max(300, place.clientWidth);
  const narrow = width < 600;
  const end = frames.at(-1).At;
  const d = { parts: [], left: narrow ? 62 : 84, right: width - 15, y: 6 };
  d.x = (at) => d.left + ((d.right - d.left) * (at - end + minute)) / minute;

  title(d, narrow ? "What is broken" : "What is wrong with the servers");
  servers.forEach((s, i) => row(d, "server " + s, stretches((f) => f.Faults[i]).filter((s) => s.value !== "mend"), () => "fault"));
  title(d, "Calls that succeed");
  panel(d, [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]], (c) => (c.Ended === 0 ? NaN : c.OK / c.Ended));
  title(d, narrow ? "Requests sent, per second" : "Requests that the clients send, per second");
  const most = Math.max(10, ...frames.flatMap((f) => f.Clients.map((c) => c.Sent)));
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].find((s) => most / s <= 5) ?? most;
  const top = step * Math.ceil(most / step);
  panel(d, Array.from({ length: top / step + 1 }, (_, i) => [(i * step) / top, String(i * step)]), (c) => c.Sent / top);
  title(d, narrow ? "Where Belay sends calls" : "Where Belay sends calls, and whether it sends any");
  [...servers.map((s) => "server " + s), "breaker"].forEach((name, i) => row(d, name, stretches((f) => f.States[i]), (value) => value, ""));
  for (let s = 0; s <= 60; s += narrow ? 20 : 10) {
    const x = d.x(end - s * 1000);
    d.parts.push(text(s === 0 ? "now" : `${s} s ago`, { class: "soft", x, y: d.y + 14, "text-anchor": s === 0 ? "end" : "middle" }));
  }
  const svg = node("svg", { viewBox: `0 0 ${width} ${d.y + 24}`, role: "img",
    "aria-label": "Time lines of the last minute: faults, success, load, and where Belay sends calls. The table has the figures of now." });
  svg.append(...d.parts);
  place.replaceChildren(svg);
}

function title(d, words) {
  d.y += 24;
  d.parts.push(text(words, { class: "title", x: d.left, y: d.y - 8 }));
}

function row(d, name, list, kind, words = undefined) {
  d.parts.push(text(name, { x: d.left - 8, y: d.y + 13, "text-anchor": "end" }));
  for (const s of list) {
    const x = Math.max(d.left, d.x(s.from));
    const width = Math.max(1, d.x(s.to) - x);
    d.parts.push(node("rect", { class: kind(s.value), x, y: d.y, width, height: rowHeight }));
    const label = words ?? s.value;
    if (label.length * 7 + 6 < width) {
      d.parts.push(text(label, { class: "in", x: x + width / 2, y: d.y + 13, "text-anchor": "middle" }));
    }
  }
  d.y += rowHeight + 4;
}

function panel(d, ticks, share) {
  const y = (v) => d.y + panelHeight * (1 - v);
  for (const [v, label] of ticks) {
    d.parts.push(node("line", { class: "grid", x1: d.left, x2: d.right, y1: y(v), y2: y(v) }));
    d.parts.push(text(label, { class: "soft", x: d.left - 8, y: y(v) + 4, "text-anchor": "end" }));
  }
  names.forEach((name, i) => {
    let path = "";
    let pen = "M";
    for (const f of frames) {
      const v = share(f.Clients[i]);
      if (Number.isNaN(v)) {
        pen = "M";
        continue;
      }
      path += `${pen}${d.x(f.At).toFixed(1)} ${y(v).toFixed(1)}`;
      pen = "L";
    }
    d.parts.push(node("path", { class: "line " + name, d: path }));
  });
  d.y += panelHeight + 12;
}

// stretches are the times in which a value did not change.
function stretches(value) {
  const list = [];
  for (const f of frames) {
    const last = list.at(-1);
    if (last !== undefined && last.value === value(f)) {
      last.to = f.At;
      continue;
    }
    list.push({ value: value(f), from: last === undefined ? f.At : last.to, to: f.At });
  }
  return list;
}

function node(name, attributes) {
  const n = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    n.setAttribute(key, value);
  }
  return n;
}

function text(words, attributes) {
  const n = node("text", attributes);
  n.textContent = words;
  return n;
}

new ResizeObserver(ask).observe(document.getElementById("drawing"));
connect();
