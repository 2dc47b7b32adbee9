// Where the cursor goes.

import { first, last, now, say } from "./page.js";
import { show } from "./show.js";
import { quote, spanAt, words } from "./text.js";

export function move(to, extend) {
  const target = Math.max(0, Math.min(to, words(now.record) - 1));
  if (extend) now.anchor ??= now.cursor;
  else now.anchor = null;
  now.cursor = target;
  now.of = null;
  show();
  now.nodes.get(now.cursor)?.focus({ preventScroll: true });
  if (now.anchor !== null) say(`selected ${quote(now.record, first(), last())}`);
}

export function byLine(down) {
  const here = now.nodes.get(now.cursor).getBoundingClientRect();
  const middle = (here.left + here.right) / 2;
  let best = null;
  for (let i = now.cursor + down; now.nodes.has(i); i += down) {
    const box = now.nodes.get(i).getBoundingClientRect();
    const away = (box.top - here.top) * down;
    if (away < here.height / 2) continue;
    if (best !== null && Math.abs(box.top - best.top) > here.height / 2) break;
    const off = Math.abs((box.left + box.right) / 2 - middle);
    if (best === null || off < best.off) best = { i, off, top: box.top };
  }
  return best === null ? (down > 0 ? words(now.record) - 1 : 0) : best.i;
}

// The span that keys act on: none while words are selected.
export function current() {
  if (now.record === null || now.anchor !== null) return null;
  return spanAt(now.record, now.cursor, now.of, now.start.labels[now.label]);
}

// The next span, or the previous one; null if there is none.
export function toSpan(by) {
  const { spans } = now.record;
  const here = current();
  if (here) return spans[spans.indexOf(here) + by] ?? null;
  const away = spans.filter((span) => (by > 0 ? span.first > now.cursor : span.last < now.cursor));
  return away.at(by > 0 ? 0 : -1) ?? null;
}

export function moveTo(span) {
  move(span.first, false);
  now.of = span.label;
  show();
}

// An edge that moved may leave the cursor outside the span: then it goes to the nearest word inside.
export function follow(span, side) {
  const same = now.record.spans.filter((other) => other.label === span.label);
  if (same.some((other) => other.first <= now.cursor && now.cursor <= other.last)) return;
  const inside = side === "start"
    ? same.find((other) => other.first > now.cursor)?.first
    : same.findLast((other) => other.last < now.cursor)?.last;
  if (inside === undefined) return;
  move(inside, false);
  now.of = span.label;
  show();
}
