// The page: keys and mouse become ops on words. The server applies and saves each op, and answers with the new record.

import { keyed } from "./keys.js";
import { listen, under } from "./mouse.js";
import { $, address, first, last, now, opened, queue, remember, say } from "./page.js";
import { current, follow } from "./moves.js";
import { drawLabels, drawProgress, show } from "./show.js";
import { ask, notice, state } from "./talk.js";
import { before, describe, differing, draw, element, spansAt, windowAround, wordAt, words } from "./text.js";
import { showTokens } from "./tokens.js";

// --- ops ---------------------------------------------------------------------------------------------------------

async function edit(op) {
  const seen = now.record.rev;
  const answer = await ask("/api/edit", { id: now.record.id, rev: seen, op });
  if (!answer.conflict) return take(answer);
  if (answer.conflict.mine === null) {
    take(answer.conflict.theirs);
    notice("This record was changed in another tab; the page now shows its new state.");
    state("saved", "Saved");
    return;
  }
  await settle(answer.conflict, seen, op);
}

async function settle(both, seen, op) {
  const id = now.record.id;
  for (;;) {
    state("failed", "Conflict");
    const closed = opened($("conflict"));
    drawSides(both);
    const choice = await closed;
    const answer = choice && (await ask("/api/settle", { id, rev: both.theirs.rev, seen, op, choice }));
    if (answer && !answer.conflict) return take(answer);
    if (answer) both = answer.conflict;
  }
}

function drawSides(both) {
  const framed = { mine: differing(both.mine, both.theirs), theirs: differing(both.theirs, both.mine), merged: [] };
  // A long text is shown where the two first differ.
  const [side] = ["mine", "theirs"].filter((name) => framed[name].length);
  const place = side ? before(both[side], framed[side][0]) : 0;
  for (const [name, differ] of Object.entries(framed)) {
    const at = wordAt(both[name], place);
    const nodes = draw($(name), both[name], windowAround(both[name], at, [0, 0]), false);
    for (const i of differ) nodes.get(i)?.classList.add("differs");
    $(`${name}-status`).textContent = both[name].status;
    nodes.get(at)?.scrollIntoView({ block: "nearest" });
  }
  $("differing").hidden = !side;
}

function spanOp(op, more = {}) {
  if (!words(now.record)) return undefined;
  return edit({ op, first: first(), last: last(), label: now.start.labels[now.label], of: current()?.label ?? "", ...more });
}

async function edge(side, by, unit = "word") {
  now.anchor = null;
  const span = current();
  if (!span) return;
  await spanOp("edge", { side, by, unit });
  follow(span, side);
}

// A word inside a span is taken out of that span; any other is marked with the chosen label.
const toggle = () => spanOp("toggle", { label: current()?.label ?? now.start.labels[now.label] });

async function decide(op) {
  const id = now.record.id;
  await edit({ op });
  if (now.record.id === id && $("saved").dataset.state === "saved") await go(1);
}

// Chooses the label of new spans. It never changes a span.
function choose(number) {
  now.label = number;
  show(true);
  drawLabels();
}

// Gives a label to the span at the cursor, or marks the words with it. It never chooses the label of new spans.
async function relabel(number) {
  if (number >= now.start.labels.length) return;
  await spanOp("label", { label: now.start.labels[number] });
  now.of = now.start.labels[number];
  show();
}

function tokens() {
  if (now.start.tokenizer === null) {
    notice("To see the trainer’s tokens, start tif spans edit with --tokenizer MODEL.");
    return;
  }
  now.tokens = !now.tokens;
  remember();
  show(true);
}

const acts = {
  edge,
  label: relabel,
  relabel: () => relabel(now.label),
  tokens,
  toggle,
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
  flag: () => edit({ op: now.record.flagged ? "unflag" : "flag" }),
  previous: () => go(-1),
  next: () => go(1),
};

// --- records -----------------------------------------------------------------------------------------------------

async function open(name, id) {
  now.start = await ask(`/api/start?queue=${encodeURIComponent(name)}`);
  now.ids = now.start.ids;
  // A record from a link, or one in progress, is shown even if it has left the queue.
  if (id && !now.ids.includes(id)) now.ids = [id, ...now.ids];
  document.title = `${now.start.set} – tif`;
  $("title").textContent = now.start.set;
  $("title").title = `version ${now.start.version}`;
  $("queue").replaceChildren(...now.start.queues.map((one) => {
    const option = element("option", one);
    option.selected = one === now.start.queue;
    return option;
  }));
  document.querySelector("[data-do=tokens]").hidden = now.start.tokenizer === null;
  if (now.start.tokenizer === null) now.tokens = false;
  drawLabels();
  drawProgress(now.start.progress);
  await load(id || now.ids[0]);
}

async function load(id) {
  if (id === undefined) return none();
  $("text").classList.add("loading");
  now.record = null;
  const answer = await ask(`/api/record?id=${encodeURIComponent(id)}`);
  now.cursor = 0;
  now.anchor = null;
  now.of = null;
  // A label that was chosen for one record is not meant for the next.
  now.label = Math.max(now.start.trained.indexOf(true), 0);
  take(answer);
  drawLabels();
  if (now.record.spans.length) {
    now.cursor = now.record.spans[0].first;
    show();
  }
  now.nodes.get(now.cursor)?.focus();
}

function none() {
  now.record = null;
  for (const id of ["prompt", "text", "id", "status", "place", "legend", "gone", "error", "here", "untrained", "sides-list"]) $(id).replaceChildren();
  document.querySelector("main").hidden = $("where").hidden = true;
  showTokens();
  notice(`The queue “${now.start.queue}” is empty. Choose another queue above, or finish.`);
}

async function go(by) {
  const next = now.ids.indexOf(now.record.id) + by;
  if (next >= 0 && next < now.ids.length) return load(now.ids[next]);
  notice(by > 0 ? `This is the last record in the queue “${now.start.queue}”.` : "This is the first record in the queue.");
}

function take(record) {
  const same = now.record && now.record.id === record.id;
  const at = same && words(now.record) ? before(now.record, now.cursor) : 0;
  const other = same && now.anchor !== null ? before(now.record, now.anchor) : null;
  now.record = record;
  if (same) {
    now.cursor = wordAt(now.record, at);
    now.anchor = other === null ? null : wordAt(now.record, other);
  }
  if (!same) now.shown = [0, 0];
  remember();
  show(true);
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || !now.start) return;
  if (event.target.matches("select, input") || (now.record === null && now.waiting === 0)) return;
  const act = keyed(event, acts);
  if (!act) return;
  event.preventDefault();
  queue(() => now.record && act());
});

$("labels").addEventListener("click", (event) => {
  const button = event.target.closest("[data-label]");
  if (button) queue(() => now.record && choose(Number(button.dataset.label)));
});
// A button that takes the focus would take the arrow keys and Enter from the text.
for (const id of ["labels", "sides"]) $(id).addEventListener("mousedown", (event) => event.preventDefault());
$("sides").addEventListener("click", (event) => {
  const button = event.target.closest("[data-settle]");
  if (button) queue(() => now.record && edit({ op: button.dataset.settle, other: Number(button.dataset.other) }));
});

listen(edit, toggle);

for (const button of document.querySelectorAll("[data-do]")) {
  // Otherwise the button takes the focus, and the next arrow key does not move in the text.
  button.addEventListener("mousedown", (event) => event.preventDefault());
  button.addEventListener("click", () => queue(() => now.record && acts[button.dataset.do]()));
}

$("text").addEventListener("focusin", (event) => {
  const at = under(event);
  if (at === null) return;
  const here = spansAt(now.record, at);
  say(here.length ? `${event.target.textContent}: ${here.map(describe).join(", ")}` : "");
});

$("queue").addEventListener("change", () => {
  const name = $("queue").value;
  $("queue").blur();
  queue(() => open(name, null));
});
$("help").addEventListener("click", () => opened($("helping")));
$("finish").addEventListener("click", () => queue(async () => {
  $("author").value ||= now.start.author;
  if ((await opened($("finishing"))) !== "save") return;
  const answer = await ask("/api/finish", { message: $("message").value, author: $("author").value });
  $("message").value = "";
  const same = answer.version === now.start.version;
  now.start.version = answer.version;
  drawProgress(answer.progress);
  if (now.record) take(await ask(`/api/record?id=${encodeURIComponent(now.record.id)}`));
  const conflicts = answer.conflicts.length ? ` ${answer.conflicts.length} records conflict: see the queue “conflict”.` : "";
  const done = same ? `Nothing changed: version ${answer.version} stays.` : `Saved as version ${answer.version}.`;
  const aside = answer.aside ? ` Edits of records that are no longer in the set are kept in ${answer.aside}.` : "";
  notice(`${done} You can close this page and stop the server, or continue.${conflicts}${aside}`);
}));

addEventListener("beforeunload", (event) => {
  if (now.waiting) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || now.waiting || !now.record) return;
  queue(async () => take(await ask(`/api/record?id=${encodeURIComponent(now.record.id)}`)));
});

queue(() => open(address.get("queue") || "todo", address.get("id")));
