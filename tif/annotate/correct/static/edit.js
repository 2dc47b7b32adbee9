// The page: keys and mouse become ops on words, which the server does, saves and answers with the record as it is then.

import { WINDOW, before, draw, element, looks, quote, said, spansAt, windowAround, wordAt, words } from "./text.js";
import { ask, notice, state } from "./talk.js";

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);

let start; // what /api/start says
let ids = [];
let record = null;
let cursor = 0;
let anchor = null; // other end of a selection
let shown = [0, 0];
let nodes = new Map();
let label = 0;
let drag = null;

// One thing after another: a key pressed while an edit is under way waits for its answer, since indices may change.
let chain = Promise.resolve();
let waiting = 0;
function queue(act) {
  waiting += 1;
  chain = chain.then(act).catch((error) => notice(String(error.message ?? error))).finally(() => (waiting -= 1));
}

const say = (words) => ($("live").textContent = words);
// --- ops ---------------------------------------------------------------------------------------------------------

const first = () => (anchor === null ? cursor : Math.min(anchor, cursor));
const last = () => (anchor === null ? cursor : Math.max(anchor, cursor));

async function edit(op) {
  const seen = record.rev;
  const told = await ask("/api/edit", { id: record.id, rev: seen, op });
  if (!told.conflict) return take(told);
  if (told.conflict.mine === null) {
    take(told.conflict.theirs);
    notice("This record was changed in another tab; it is shown as it is now.");
    state("saved", "Saved");
    return;
  }
  await settle(told.conflict, seen, op);
}

async function settle(both, seen, op) {
  const id = record.id;
  for (;;) {
    state("failed", "Conflict");
    for (const name of ["mine", "theirs", "merged"]) {
      draw($(name), both[name], [0, Math.min(words(both[name]), WINDOW)], false);
    }
    const choice = await opened($("conflict"));
    const told = choice && (await ask("/api/settle", { id, rev: both.theirs.rev, seen, op, choice }));
    if (told && !told.conflict) return take(told);
    if (told) both = told.conflict;
  }
}

function opened(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}

function spanOp(op, more = {}) {
  if (!words(record)) return undefined;
  return edit({ op, first: first(), last: last(), label: start.labels[label], ...more });
}

function edge(side, by, unit = "word") {
  anchor = null;
  return spanOp("edge", { side, by, unit });
}

async function decide(op) {
  const id = record.id;
  await edit({ op });
  if (record.id === id && $("saved").dataset.state === "saved") await go(1);
}

async function relabel(number) {
  if (number >= start.labels.length) return;
  label = number;
  drawLabels();
  await spanOp("label");
}

const acts = {
  toggle: () => spanOp("toggle"),
  remove: () => spanOp("remove"),
  mentions: () => spanOp("mentions"),
  "start-out": () => edge("start", -1),
  "start-in": () => edge("start", 1),
  "end-in": () => edge("end", -1),
  "end-out": () => edge("end", 1),
  undo: () => edit({ op: "undo" }),
  redo: () => edit({ op: "redo" }),
  accept: () => decide("accept"),
  reject: () => decide("reject"),
  skip: () => decide("skip"),
  flag: () => edit({ op: record.flagged ? "unflag" : "flag" }),
  previous: () => go(-1),
  next: () => go(1),
};

// --- records -----------------------------------------------------------------------------------------------------

async function open(name, id) {
  start = await ask(`/api/start?queue=${encodeURIComponent(name)}`);
  ids = start.ids;
  // A record that is linked to, or half done, is shown even if it is not in the queue any more.
  if (id && !ids.includes(id)) ids = [id, ...ids];
  looks(start.author);
  for (const source of start.sources) looks(source);
  document.title = `${start.set} – tif`;
  $("title").textContent = start.set;
  $("title").title = `version ${start.version}`;
  $("queue").replaceChildren(...start.queues.map((one) => {
    const option = element("option", one);
    option.selected = one === start.queue;
    return option;
  }));
  drawLabels();
  drawProgress(start.progress);
  await load(id || ids[0]);
}

async function load(id) {
  if (id === undefined) return none();
  $("text").classList.add("loading");
  record = null;
  const told = await ask(`/api/record?id=${encodeURIComponent(id)}`);
  cursor = 0;
  anchor = null;
  take(told);
  if (record.spans.length) {
    cursor = record.spans[0].first;
    show();
  }
  nodes.get(cursor)?.focus();
}

function none() {
  record = null;
  for (const id of ["prompt", "text", "id", "status", "place", "legend", "gone", "error"]) $(id).replaceChildren();
  notice(`Nothing is left in the queue “${start.queue}”.`);
}

async function go(by) {
  const next = ids.indexOf(record.id) + by;
  if (next >= 0 && next < ids.length) return load(ids[next]);
  notice(by > 0 ? `This was the last one in the queue “${start.queue}”.` : "This is the first one in the queue.");
}

function take(told) {
  const same = record && record.id === told.id;
  const at = same && words(record) ? before(record, cursor) : 0;
  const other = same && anchor !== null ? before(record, anchor) : null;
  record = told;
  if (same) {
    cursor = wordAt(record, at);
    anchor = other === null ? null : wordAt(record, other);
  }
  if (!same) shown = [0, 0];
  address.set("queue", start.queue);
  address.set("id", record.id);
  history.replaceState(null, "", `?${address}`);
  show(true);
}

// --- drawing -----------------------------------------------------------------------------------------------------

function show(anew = false) {
  const wanted = windowAround(record, cursor, shown);
  const hadFocus = $("text").contains(document.activeElement) || document.activeElement === document.body;
  if (anew || wanted[0] !== shown[0] || wanted[1] !== shown[1]) {
    shown = wanted;
    nodes = draw($("text"), record, shown, true);
    drawAround();
  }
  for (const node of $("text").querySelectorAll(".cursor, .chosen")) {
    node.classList.remove("cursor", "chosen");
    node.tabIndex = -1;
  }
  const range = drag ? [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)] : [first(), last()];
  if (drag || anchor !== null) for (let i = range[0]; i <= range[1]; i++) nodes.get(i)?.classList.add("chosen");
  const node = nodes.get(cursor);
  if (!node) return;
  node.classList.add("cursor");
  node.tabIndex = 0;
  if (hadFocus) node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "nearest" });
}

function drawAround() {
  $("text").classList.remove("loading");
  const place = ids.indexOf(record.id) + 1;
  $("place").textContent = `${place} of ${ids.length}`;
  $("id").textContent = record.id;
  $("status").textContent = record.status;
  $("status").dataset.status = record.status;
  $("flagged").hidden = !record.flagged;
  $("prompt").textContent = record.prompt;
  $("prompt").parentElement.hidden = !record.prompt;
  $("error").textContent = record.error ? `Note: ${record.error}` : "";
  $("error").hidden = !record.error;
  $("gone").replaceChildren("Before: ", ...record.gone.flatMap((words) => [element("del", words), " "]));
  $("gone").hidden = !record.gone.length;
  const sources = [...new Set(record.spans.map((span) => span.source))];
  $("legend").replaceChildren(...sources.map((source) => element("span", source || "unknown", `span s${looks(source)}`)));
  const all = words(record);
  $("window").hidden = shown[0] === 0 && shown[1] === all;
  $("window").textContent = `Words ${shown[0] + 1}–${shown[1]} of ${all}; move on to see more.`;
  document.querySelector("[data-do=undo]").disabled = !record.undo;
  document.querySelector("[data-do=redo]").disabled = !record.redo;
  document.querySelector("[data-do=flag]").setAttribute("aria-pressed", String(record.flagged));
  document.body.dataset.labels = start.labels.length > 1 ? "several" : "one";
  drawProgress(record.progress);
}

function drawProgress({ reviewed, total, unsaved }) {
  $("bar").value = reviewed;
  $("bar").max = Math.max(total, 1);
  $("progress").textContent = `${reviewed} of ${total} reviewed`;
  $("unsaved").textContent = unsaved === 1 ? "1 record changed." : `${unsaved} records changed.`;
}

function drawLabels() {
  $("labels").hidden = start.labels.length < 2;
  $("labels").replaceChildren(...start.labels.map((name, number) => {
    const button = element("button", name);
    button.type = "button";
    button.append(element("kbd", String(number + 1)));
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(number === label));
    button.addEventListener("click", () => queue(() => relabel(number)));
    return button;
  }));
}

// --- moving ------------------------------------------------------------------------------------------------------

function move(to, extend) {
  const target = Math.max(0, Math.min(to, words(record) - 1));
  if (extend) anchor ??= cursor;
  else anchor = null;
  cursor = target;
  show();
  nodes.get(cursor)?.focus({ preventScroll: true });
  if (anchor !== null) say(`selected ${quote(record, first(), last())}`);
}

function byLine(down) {
  const here = nodes.get(cursor).getBoundingClientRect();
  const middle = (here.left + here.right) / 2;
  let best = null;
  for (let i = cursor + down; nodes.has(i); i += down) {
    const box = nodes.get(i).getBoundingClientRect();
    const away = (box.top - here.top) * down;
    if (away < here.height / 2) continue;
    if (best !== null && Math.abs(box.top - best.top) > here.height / 2) break;
    const off = Math.abs((box.left + box.right) / 2 - middle);
    if (best === null || off < best.off) best = { i, off, top: box.top };
  }
  return best === null ? (down > 0 ? words(record) - 1 : 0) : best.i;
}

function toSpan(by) {
  const order = record.spans.map((span) => span.first).filter((at) => (by > 0 ? at > cursor : at < cursor));
  return by > 0 ? Math.min(...order) : Math.max(...order);
}

// --- keys and mouse ----------------------------------------------------------------------------------------------

const EDGES = { "[": ["start", -1], "{": ["start", 1], "}": ["end", -1], "]": ["end", 1] };
// With alt, some keyboards give other characters: there the key's place counts.
const PLACES = { BracketLeft: ["[", "{"], BracketRight: ["]", "}"] };
const LETTERS = { a: "accept", x: "reject", s: "skip", f: "flag", n: "next", p: "previous", m: "mentions" };

function keyed(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey;
  const text = document.activeElement === document.body || $("text").contains(document.activeElement);
  if ((event.ctrlKey || event.metaKey) && key === "z") return shift ? acts.redo : acts.undo;
  if ((event.ctrlKey || event.metaKey) && key === "y") return acts.redo;
  if ((event.ctrlKey && !event.getModifierState("AltGraph")) || event.metaKey) return null;
  const bracket = event.altKey && !EDGES[key] ? PLACES[event.code]?.[Number(shift)] : key;
  if (EDGES[bracket]) {
    const unit = event.altKey && !event.getModifierState("AltGraph") ? "char" : "word";
    return () => edge(...EDGES[bracket], unit);
  }
  const onward = getComputedStyle($("text")).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  if (text && (key === "ArrowRight" || key === "ArrowLeft")) {
    const by = key === onward ? 1 : -1;
    if (event.altKey) return () => edge("end", by, shift ? "char" : "word");
    return () => move(cursor + by, shift);
  }
  if (event.altKey) return null;
  if (key === "?") return () => opened($("helping"));
  if (key === "u") return shift ? acts.redo : acts.undo;
  if (LETTERS[key] && !shift) return acts[LETTERS[key]];
  if (/^[1-9]$/.test(key)) return () => relabel(Number(key) - 1);
  if (key === "Delete" || key === "Backspace") return acts.remove;
  if (!text) return null;
  if (key === "Enter" || key === " ") return acts.toggle;
  if (key === "Escape") return () => move(cursor, false);
  if (key === "ArrowDown" || key === "ArrowUp") return () => move(byLine(key === "ArrowDown" ? 1 : -1), shift);
  if (key === "Home" || key === "End") return () => move(key === "Home" ? 0 : Infinity, shift);
  if (key === "PageDown" || key === "PageUp") return () => move(cursor + (key === "PageDown" ? 200 : -200), shift);
  // At the last span the key does what it does everywhere, so that nobody is trapped in the text.
  const to = () => toSpan(shift ? -1 : 1);
  if (key === "Tab" && (waiting > 0 || Number.isFinite(to()))) return () => Number.isFinite(to()) && move(to(), false);
  return null;
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || !start) return;
  if (event.target.matches("select, input") || (record === null && waiting === 0)) return;
  const act = keyed(event);
  if (!act) return;
  event.preventDefault();
  queue(() => record && act());
});

for (const button of document.querySelectorAll("[data-do]")) {
  // Else the button takes the focus, and the next arrow key would not move in the text.
  button.addEventListener("mousedown", (event) => event.preventDefault());
  button.addEventListener("click", () => queue(() => record && acts[button.dataset.do]()));
}

function under(event) {
  const node = event.target.closest?.(".word[data-i]");
  return node && $("text").contains(node) ? Number(node.dataset.i) : null;
}

$("text").addEventListener("pointerdown", (event) => {
  const at = under(event);
  if (at === null || event.button !== 0 || record === null) return;
  event.preventDefault();
  drag = { from: at, to: at };
  anchor = null;
  cursor = at;
  show();
  nodes.get(cursor)?.focus({ preventScroll: true });
});
$("text").addEventListener("pointermove", (event) => {
  const at = drag && under(event);
  if (drag === null || at === null || at === drag.to) return;
  drag.to = at;
  show();
});
document.addEventListener("pointerup", () => {
  if (drag === null) return;
  const { from, to } = drag;
  drag = null;
  if (record === null) return;
  // An edit that is still under way may cut the text otherwise, so that the words are found again when it is done.
  const { id } = record;
  const places = [before(record, Math.min(from, to)), before(record, Math.max(from, to))];
  queue(() => {
    if (record?.id !== id) return undefined;
    const [one, other] = places.map((place) => wordAt(record, place));
    cursor = other;
    return edit({ op: from === to ? "toggle" : "mark", first: one, last: other, label: start.labels[label] });
  });
});
document.addEventListener("pointercancel", () => {
  drag = null;
  if (record) show();
});

$("text").addEventListener("focusin", (event) => {
  const at = under(event);
  if (at === null) return;
  const here = spansAt(record, at);
  say(here.length ? `${event.target.textContent}: ${here.map(said).join(", ")}` : "");
});

$("queue").addEventListener("change", () => {
  const name = $("queue").value;
  $("queue").blur();
  queue(() => open(name, null));
});
$("help").addEventListener("click", () => opened($("helping")));
$("finish").addEventListener("click", () => queue(async () => {
  $("author").value ||= start.author;
  if ((await opened($("finishing"))) !== "save") return;
  const told = await ask("/api/finish", { message: $("message").value, author: $("author").value });
  $("message").value = "";
  start.version = told.version;
  drawProgress(told.progress);
  if (record) take(await ask(`/api/record?id=${encodeURIComponent(record.id)}`));
  const conflicts = told.conflicts.length ? ` ${told.conflicts.length} records conflict: see the queue “conflict”.` : "";
  notice(`Saved as version ${told.version}. You may close this page and stop the server, or go on.${conflicts}`);
}));

addEventListener("beforeunload", (event) => {
  if (waiting) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || waiting || !record) return;
  queue(async () => take(await ask(`/api/record?id=${encodeURIComponent(record.id)}`)));
});

queue(() => open(address.get("queue") || "todo", address.get("id")));
