// The state of the page, and the one queue in which all actions run.

import { notice } from "./talk.js";

export const $ = (id) => document.getElementById(id);
export const address = new URLSearchParams(location.search);

export const now = {
  start: null, // the answer of /api/start
  ids: [],
  record: null,
  cursor: 0,
  anchor: null, // other end of a selection
  of: null, // label of the span that Tab went to, where several overlap
  shown: [0, 0],
  nodes: new Map(),
  label: 0, // of new spans: an index into start.labels
  drag: null,
  waiting: 0,
  tokens: address.get("tokens") === "1", // whether the trainer's tokens are shown
};

export const first = () => (now.anchor === null ? now.cursor : Math.min(now.anchor, now.cursor));
export const last = () => (now.anchor === null ? now.cursor : Math.max(now.anchor, now.cursor));

// Actions run one after another: a key pressed during an edit waits for the answer, since indices may change.
let chain = Promise.resolve();
export function queue(act) {
  now.waiting += 1;
  chain = chain.then(act).catch((error) => notice(String(error.message ?? error))).finally(() => (now.waiting -= 1));
}

// For screen readers.
export const say = (words) => ($("live").textContent = words);

export function opened(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}

// The address names the record shown, so that a reload shows it again.
export function remember() {
  address.set("queue", now.start.queue);
  address.set("id", now.record.id);
  if (now.tokens) address.set("tokens", "1");
  else address.delete("tokens");
  history.replaceState(null, "", `?${address}`);
}
