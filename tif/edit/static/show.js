// Draws the state in `now`: the text with its cursor, and everything around it.

import { current } from "./moves.js";
import { $, first, last, now } from "./page.js";
import { before, describe, differing, draw, element, quote, windowAround, wordAt, words } from "./text.js";
import { showTokens } from "./tokens.js";

// The meaning of each status, shown as a tooltip.
const STATUSES = {
  auto: "marked by a machine, not reviewed yet",
  review: "marked by a machine; the entities policy asks a person to decide",
  accepted: "a person reviewed it: correct",
  corrected: "a person reviewed and changed it",
  rejected: "a person decided not to unlearn it",
  conflict: "two people made changes that contradict each other",
  failed: "the annotator failed on this record",
};

export function show(redraw = false) {
  const wanted = windowAround(now.record, now.cursor, now.shown);
  const hadFocus = $("text").contains(document.activeElement) || document.activeElement === document.body;
  if (redraw || wanted[0] !== now.shown[0] || wanted[1] !== now.shown[1]) {
    now.shown = wanted;
    now.nodes = draw($("text"), now.record, now.shown, true);
    drawAround();
    showTokens();
  }
  for (const node of $("text").querySelectorAll(".cursor, .chosen")) {
    node.classList.remove("cursor", "chosen");
    node.tabIndex = -1;
  }
  for (const node of $("text").querySelectorAll(".current")) node.classList.remove("current");
  const { drag } = now;
  drawCurrent();
  const range = drag ? [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)] : [first(), last()];
  if (now.drag || now.anchor !== null) {
    for (let i = range[0]; i <= range[1]; i++) now.nodes.get(i)?.classList.add("chosen");
  }
  const node = now.nodes.get(now.cursor);
  if (!node) return;
  node.classList.add("cursor");
  node.tabIndex = 0;
  if (hadFocus) node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "nearest" });
}

function drawAround() {
  $("text").classList.remove("loading");
  document.querySelector("main").hidden = $("where").hidden = false;
  const place = now.ids.indexOf(now.record.id) + 1;
  $("place").textContent = `${place} of ${now.ids.length}`;
  $("id").textContent = now.record.id;
  $("status").textContent = now.record.status;
  $("status").dataset.status = now.record.status;
  $("status").title = STATUSES[now.record.status] ?? "";
  $("flagged").hidden = !now.record.flagged;
  $("prompt").textContent = now.record.prompt;
  $("prompt").parentElement.hidden = !now.record.prompt;
  const { error, sides } = now.record;
  // The page shows the sides of a conflict as marked texts, not as offsets.
  const disputed = now.record.status === "conflict" ? "two people changed this record. Mark the right words, then accept. " : "";
  $("error").textContent = error ? `Note: ${disputed}${error}` : "";
  $("error").hidden = !error || sides.length > 0;
  drawSides();
  $("gone").replaceChildren("Marked before:", ...now.record.gone.flatMap((words) => [element("del", words), " "]));
  $("gone").hidden = !now.record.gone.length;
  $("left-out").hidden = now.record.trained;
  const looks = new Map(now.record.spans.map((span) => [span.source, span.look]));
  $("legend").hidden = !looks.size;
  $("legend").replaceChildren("Marked by:", ...[...looks].map(([source, look]) => element("span", source || "unknown", `span s${look}`)));
  const all = words(now.record);
  $("window").hidden = now.shown[0] === 0 && now.shown[1] === all;
  $("window").textContent = `Words ${now.shown[0] + 1}–${now.shown[1]} of ${all}; move the cursor to see more.`;
  document.querySelector("[data-do=undo]").disabled = !now.record.undo;
  document.querySelector("[data-do=redo]").disabled = !now.record.redo;
  document.querySelector("[data-do=flag]").setAttribute("aria-pressed", String(now.record.flagged));
  document.querySelector("[data-do=tokens]").setAttribute("aria-pressed", String(now.tokens));
  document.body.dataset.labels = now.start.labels.length > 1 ? "several" : "one";
  drawMeaning();
  drawProgress(now.record.progress);
}

// Frames all of the span that Delete, the brackets and labels act on, and names it above the tools.
function drawCurrent() {
  const span = current();
  for (const node of span ? $("text").querySelectorAll(`[data-span="${CSS.escape(`${span.first} ${span.label}`)}"]`) : []) {
    node.classList.add("current");
  }
  const words = span && quote(now.record, span.first, span.last);
  if (span) $("here").replaceChildren(element("q", words), ` ${describe(span)}`);
  else if (now.anchor !== null) $("here").replaceChildren("Selected: ", element("q", quote(now.record, first(), last())));
  else $("here").replaceChildren("No span at the cursor.");
  for (const name of ["remove", "start-out", "start-in", "end-in", "end-out"]) {
    document.querySelector(`[data-do=${name}]`).disabled = !span && (name !== "remove" || now.anchor === null);
  }
  const chosen = now.start.labels[now.label];
  const button = document.querySelector("[data-do=relabel]");
  button.disabled = !span || span.label === chosen;
  button.firstChild.textContent = `Relabel as ${chosen}`;
}

// The other sides of a conflict, each as a text with its marks.
function drawSides() {
  const { record } = now;
  $("sides").hidden = !record.sides.length;
  const places = [];
  $("sides-list").replaceChildren(...record.sides.map((side, number) => {
    const part = element("section");
    const text = element("div", "", "text");
    text.dir = "auto";
    const differ = differing(side, record);
    const at = wordAt(side, differ.length ? before(side, differ[0]) : 0);
    const nodes = draw(text, side, windowAround(side, at, [0, 0]), false);
    places.push([text, nodes.get(at)]);
    for (const i of differ) nodes.get(i)?.classList.add("differs");
    for (const i of differing(record, side)) now.nodes.get(i)?.classList.add("differs");
    const head = element("div");
    head.append(element("h3", `${side.name === "theirs" ? "Theirs" : side.name}: ${side.status}`));
    part.append(head, text);
    for (const [op, label] of [["theirs", `Take ${side.name}`], ["both", "Take both"]]) {
      if (op === "both" && side.status === "rejected") continue;
      const button = element("button", label);
      button.type = "button";
      button.dataset.settle = op;
      button.dataset.other = number;
      head.append(button);
    }
    return part;
  }));
  // A long text is shown where it first differs. Only its own box is scrolled, not the page.
  for (const [text, node] of places) if (node) text.scrollTop = node.offsetTop - text.offsetTop - 12;
}

// What a mark means for training, in one sentence.
function drawMeaning() {
  const { labels, trained } = now.start;
  const left = labels.filter((_, i) => !trained[i]);
  const rest = left.length ? ` Spans labelled ${left.join(", ")} are not trained: --labels leaves them out.` : "";
  const other = labels.length > 1 && !left.length ? " Words with another label are forgotten too." : "";
  $("meaning").textContent = `UW: unwanted words, which the model is to forget. Words without a mark are kept.${other}${rest}`;
  const here = now.record.spans.filter((span) => !span.trained || !now.record.trained).length;
  const set = now.record.progress.untrained;
  $("untrained").textContent = set ? `${set}${here ? `; ${here} of them in this record` : ""}.` : "";
  $("untrained").hidden = !set;
}

export function drawProgress({ reviewed, total, unsaved }) {
  $("bar").value = reviewed;
  $("bar").max = Math.max(total, 1);
  $("progress").textContent = `${reviewed} of ${total} reviewed`;
  $("unsaved").textContent = unsaved === 1 ? "1 record changed." : `${unsaved} records changed.`;
}

export function drawLabels() {
  $("labelling").hidden = now.start.labels.length < 2;
  $("labels").replaceChildren(element("span", "New spans", "faint"), ...now.start.labels.map((name, number) => {
    const button = element("button", name);
    button.type = "button";
    if (number < 9) button.append(element("kbd", String(number + 1)));
    button.title = `${name === "UW" ? "UW: unwanted words. " : ""}Click: mark new spans as ${name}.`
      + (number < 9 ? ` Key ${number + 1}: give ${name} to the span or the words at the cursor.` : "")
      + (now.start.trained[number] ? "" : " Not trained: --labels leaves it out.");
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(number === now.label));
    button.dataset.label = number;
    return button;
  }));
}
