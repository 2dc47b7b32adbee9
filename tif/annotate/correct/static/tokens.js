// The record's tokens as the trainer would have them: which are unwanted, and which of these no span holds in whole.

import { $, now } from "./page.js";
import { element } from "./text.js";

let asked = 0;

export async function showTokens() {
  asked += 1;
  const mine = asked;
  const { record, shown } = now;
  $("tokens").hidden = !now.tokens || record === null;
  if ($("tokens").hidden) return;
  const query = new URLSearchParams({ id: record.id, first: shown[0], last: Math.max(shown[1] - 1, 0) });
  let told = null;
  try {
    told = await (await fetch(`/api/tokens?${query}`)).json();
  } catch {
    told = { error: "The server does not answer." };
  }
  // Another edit may have overtaken this answer; its own one is on its way.
  if (mine === asked) draw(told);
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
  $("tokens-count").textContent = `${told.tokenizer}: ${told.uw} tokens unwanted${partly}; ${told.gw} general.${left}`;
  $("tokens-text").replaceChildren(...told.tokens.map((token) => {
    const node = element(token.kind === "uw" ? "mark" : "span", token.text, `token ${token.kind}`);
    if (token.part) node.classList.add("part");
    if (token.end) node.classList.add("ends");
    if (token.count > 1) node.dataset.count = token.count;
    node.title = meaning(token);
    return node;
  }));
}

function meaning(token) {
  const kind = { uw: "unwanted", gw: "general", prompt: "not trained on: nothing predicts it" }[token.kind];
  const part = token.part ? ", though no span holds all of it" : "";
  return `${kind}${part}${token.count > 1 ? `, ${token.count} tokens` : ""}${token.end ? ", ends the text" : ""}`;
}
