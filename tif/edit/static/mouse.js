// Click a word, or drag over several: the pointer snaps to words.

import { $, now, queue } from "./page.js";
import { move } from "./moves.js";
import { show } from "./show.js";
import { before, wordAt } from "./text.js";

export function under(event) {
  const node = event.target.closest?.(".word[data-i]");
  return node && $("text").contains(node) ? Number(node.dataset.i) : null;
}

// `edit` sends an op to the server; `toggle` marks or unmarks the word at the cursor.
export function listen(edit, toggle) {
  $("text").addEventListener("pointerdown", (event) => {
    const at = under(event);
    if (at === null || event.button !== 0 || now.record === null) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      queue(() => now.record && move(at, event.shiftKey));
      return;
    }
    now.drag = { from: at, to: at };
    now.anchor = null;
    now.of = null;
    now.cursor = at;
    show();
    now.nodes.get(now.cursor)?.focus({ preventScroll: true });
  });
  $("text").addEventListener("pointermove", (event) => {
    const at = now.drag && under(event);
    if (now.drag === null || at === null || at === now.drag.to) return;
    now.drag.to = at;
    show();
  });
  document.addEventListener("pointerup", () => {
    if (now.drag === null) return;
    const { from, to } = now.drag;
    now.drag = null;
    if (now.record === null) return;
    // A pending edit may cut the text differently, so look the words up again when it is done.
    const { id } = now.record;
    const places = [before(now.record, Math.min(from, to)), before(now.record, Math.max(from, to))];
    queue(() => {
      if (now.record?.id !== id) return undefined;
      const [one, other] = places.map((place) => wordAt(now.record, place));
      now.cursor = other;
      now.anchor = null;
      return from === to ? toggle() : edit({ op: "mark", first: one, last: other, label: now.start.labels[now.label] });
    });
  });
  document.addEventListener("pointercancel", () => {
    now.drag = null;
    if (now.record) show();
  });
}
