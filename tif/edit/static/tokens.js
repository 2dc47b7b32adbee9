// The record's tokens as the trainer would have them: which are unwanted, and which of these no span holds in whole.

import { $, now } from "./page.js";
import { element } from "./text.js";

let busy = false;
let again = false;

// One request at a time: what is asked for meanwhile is asked for once, as it is by then.
export async function showTokens() {
  $("tokens").hidden = !now.tokens || now.record === null;
  again = true;
  if (busy) return;
  busy = true;
  while (again && !$("tokens").hidden) {
    again = false;
    const { record, shown } = now;
    const told = await tokensOf(record, shown);
    if (!again) draw(told);
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

function draw(told) {
  if (told.error) {
    $("tokens-count").textContent = told.error;
    $("tokens-text").replaceChildren();
    return;
  }
  const parts = told.tokens.filter((token) => token.part).length;
  const left = told.trained ? "" : " Training leaves a record of this status out.";
  const partly = parts ? `, ${parts} of them held by a span only in part` : "";
  const cut = told.cut ? ` ${told.cut} are cut off by --max-length.` : "";
  const windows = told.windows > 1 ? ` Trained in ${told.windows} windows.` : "";
  $("tokens-count").textContent =
    `${told.tokenizer}: ${told.uw} tokens unwanted${partly}; ${told.gw} general.${cut}${windows}${left}`;
  $("tokens-text").replaceChildren(...told.tokens.map((token) => {
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
    prompt: "not trained on: nothing predicts it",
    cut: "not trained on: cut off by --max-length",
  }[token.kind];
  const part = token.part ? ", though no span holds all of it" : "";
  return `${kind}${part}${token.count > 1 ? `, ${token.count} tokens` : ""}${token.window ? ", begins a window" : ""}${token.end ? ", ends the text" : ""}`;
}
