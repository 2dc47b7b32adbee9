// Where the cursor goes.

import { first, last, now, say } from "./page.js";
import { show } from "./show.js";
import { quote, words } from "./text.js";

export function move(to, extend) {
  const target = Math.max(0, Math.min(to, words(now.record) - 1));
  if (extend) now.anchor ??= now.cursor;
  else now.anchor = null;
  now.cursor = target;
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

export function toSpan(by) {
  const order = now.record.spans.map((span) => span.first).filter((at) => (by > 0 ? at > now.cursor : at < now.cursor));
  return by > 0 ? Math.min(...order) : Math.max(...order);
}
