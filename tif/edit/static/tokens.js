// The record's tokens as in training: which are unwanted, and which of these are only partly in a span.

import { $, now } from "./page.js";
import { element } from "./text.js";

let busy = false;
let again = false;

// One request at a time. Requests made meanwhile become one, for the state at that time.
export async function showTokens() {
  $("tokens").hidden = !now.tokens || now.record === null;
  again = true;
  if (busy) return;
  busy = true;
  while (again && !$("tokens").hidden) {
    again = false;
    const { record, shown } = now;
    const answer = await tokensOf(record, shown);
    if (!again) draw(answer);
  }
  busy = false;
}

async function tokensOf(record, shown) {
  const query = new URLSearchParams({ id: record.id, first: shown[0], last: Math.max(shown[1] - 1, 0) });
  try {
    return await (await fetch(`/api/tokens?${query}`)).json();
  } catch {
    return { error: "The server does not answer." };
  }
}

function draw(answer) {
  if (answer.error) {
    $("tokens-count").textContent = answer.error;
    $("tokens-text").replaceChildren();
    return;
  }
  const parts = answer.tokens.filter((token) => token.part).length;
  const left = answer.trained ? "" : " Training leaves out records with this status.";
  const partly = parts ? `, ${parts} of them only partly in a span` : "";
  const cut = answer.cut ? ` ${answer.cut} are cut off by --max-length.` : "";
  const windows = answer.windows > 1 ? ` Trained in ${answer.windows} windows.` : "";
  $("tokens-count").textContent =
    `${answer.tokenizer}: ${answer.uw} tokens unwanted${partly}; ${answer.gw} general.${cut}${windows}${left}`;
  $("tokens-text").replaceChildren(...answer.tokens.map((token) => {
    const node = element(token.kind === "uw" ? "mark" : "span", token.text, `token ${token.kind}`);
    if (token.part) node.classList.add("part");
    if (token.window) node.classList.add("window");
    if (token.end) node.classList.add("ends");
    if (token.count > 1) node.dataset.count = token.count;
    node.title = meaning(token);
    return node;
  }));
}

function meaning(token) {
  const kind = {
    uw: "unwanted",
    gw: "general",
    prompt: "not trained: nothing predicts it",
    cut: "not trained: cut off by --max-length",
  }[token.kind];
  const part = token.part ? ", only partly in a span" : "";
  return `${kind}${part}${token.count > 1 ? `, ${token.count} tokens` : ""}${token.window ? ", begins a window" : ""}${token.end ? ", ends the text" : ""}`;
}
