// What each key does.

import { $, now, opened } from "./page.js";
import { byLine, move, moveTo, toSpan } from "./moves.js";

const EDGES = { "[": ["start", -1], "{": ["start", 1], "}": ["end", -1], "]": ["end", 1] };
// With Alt, some keyboards give other characters: then the key's position counts.
const PLACES = { BracketLeft: ["[", "{"], BracketRight: ["]", "}"] };
const LETTERS = { a: "accept", x: "reject", s: "skip", f: "flag", n: "next", p: "previous", m: "mentions",
  r: "relabel", t: "tokens" };

// Returns the function that a key calls, or null.
export function keyed(event, acts) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey;
  const text = document.activeElement === document.body || $("text").contains(document.activeElement);
  if ((event.ctrlKey || event.metaKey) && key === "z") return shift ? acts.redo : acts.undo;
  if ((event.ctrlKey || event.metaKey) && key === "y") return acts.redo;
  if ((event.ctrlKey && !event.getModifierState("AltGraph")) || event.metaKey) return null;
  const bracket = event.altKey && !EDGES[key] ? PLACES[event.code]?.[Number(shift)] : key;
  if (EDGES[bracket]) {
    const unit = event.altKey && !event.getModifierState("AltGraph") ? "char" : "word";
    return () => acts.edge(...EDGES[bracket], unit);
  }
  const onward = getComputedStyle($("text")).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  if (text && (key === "ArrowRight" || key === "ArrowLeft")) {
    const by = key === onward ? 1 : -1;
    if (event.altKey) return () => acts.edge("end", by, shift ? "char" : "word");
    return () => move(now.cursor + by, shift);
  }
  if (event.altKey) return null;
  if (key === "?") return () => opened($("helping"));
  if (key === "u") return shift ? acts.redo : acts.undo;
  if (LETTERS[key] && !shift) return acts[LETTERS[key]];
  if (/^[1-9]$/.test(key)) return () => acts.label(Number(key) - 1);
  if (key === "Delete" || key === "Backspace") return acts.remove;
  if (!text) return null;
  if (key === "Enter" || key === " ") return acts.toggle;
  if (key === "Escape") return () => move(now.cursor, false);
  if (key === "ArrowDown" || key === "ArrowUp") return () => move(byLine(key === "ArrowDown" ? 1 : -1), shift);
  if (key === "Home" || key === "End") return () => move(key === "Home" ? 0 : Infinity, shift);
  if (key === "PageDown" || key === "PageUp") return () => move(now.cursor + (key === "PageDown" ? 200 : -200), shift);
  // At the last span, Tab leaves the text as usual, so that the focus is never trapped.
  const to = () => toSpan(shift ? -1 : 1);
  if (key === "Tab" && (now.waiting > 0 || to())) return () => to() && moveTo(to());
  return null;
}
