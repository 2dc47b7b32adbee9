// Draws the state in `now`: the text with its cursor, and everything around it.

import { $, first, last, now } from "./page.js";
import { draw, element, looks, windowAround, words } from "./text.js";
import { showTokens } from "./tokens.js";

// The meaning of each status, shown as a tooltip.
const STATUSES = {
  auto: "marked by a machine, not reviewed yet",
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
  const { drag } = now;
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
  const disputed = now.record.status === "conflict" ? "two people changed this record. Mark the right words, then accept. " : "";
  $("error").textContent = now.record.error ? `Note: ${disputed}${now.record.error}` : "";
  $("error").hidden = !now.record.error;
  $("gone").replaceChildren("Marked before:", ...now.record.gone.flatMap((words) => [element("del", words), " "]));
  $("gone").hidden = !now.record.gone.length;
  const sources = [...new Set(now.record.spans.map((span) => span.source))];
  $("legend").hidden = !sources.length;
  $("legend").replaceChildren("Marked by:", ...sources.map((source) => element("span", source || "unknown", `span s${looks(source)}`)));
  const all = words(now.record);
  $("window").hidden = now.shown[0] === 0 && now.shown[1] === all;
  $("window").textContent = `Words ${now.shown[0] + 1}–${now.shown[1]} of ${all}; move the cursor to see more.`;
  document.querySelector("[data-do=undo]").disabled = !now.record.undo;
  document.querySelector("[data-do=redo]").disabled = !now.record.redo;
  document.querySelector("[data-do=flag]").setAttribute("aria-pressed", String(now.record.flagged));
  document.querySelector("[data-do=tokens]").setAttribute("aria-pressed", String(now.tokens));
  document.body.dataset.labels = now.start.labels.length > 1 ? "several" : "one";
  drawProgress(now.record.progress);
}

export function drawProgress({ reviewed, total, unsaved }) {
  $("bar").value = reviewed;
  $("bar").max = Math.max(total, 1);
  $("progress").textContent = `${reviewed} of ${total} reviewed`;
  $("unsaved").textContent = unsaved === 1 ? "1 record changed." : `${unsaved} records changed.`;
}

export function drawLabels() {
  $("labels").hidden = now.start.labels.length < 2;
  $("labels").replaceChildren(element("span", "Label", "faint"), ...now.start.labels.map((name, number) => {
    const button = element("button", name);
    button.type = "button";
    button.append(element("kbd", String(number + 1)));
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(number === now.label));
    button.dataset.label = number;
    return button;
  }));
}
