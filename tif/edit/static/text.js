// Draws one record's text. Data becomes text nodes and attributes only, never markup.

export const WINDOW = 2000; // words on screen at most

const known = new Map(); // source -> index of its colour and pattern

export function looks(source) {
  if (!known.has(source)) known.set(source, known.size % 6);
  return known.get(source);
}

export function element(tag, text = "", className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

export const words = (record) => record.pieces.length / 2;
export const piece = (record, i) => record.pieces[2 * i + 1];

export function quote(record, first, last) {
  return record.pieces.slice(2 * first + 1, 2 * last + 2).join("");
}

export function spansAt(record, i) {
  return record.spans.filter((span) => span.first <= i && i <= span.last);
}

// Which words are on screen around a cursor: all of them unless the text is long.
export function windowAround(record, cursor, shown) {
  const all = words(record);
  if (all <= WINDOW) return [0, all];
  const [from, to] = shown;
  const near = WINDOW / 20;
  const inside = cursor >= from + (from > 0 ? near : 0) && cursor < to - (to < all ? near : 0);
  if (inside && to <= all) return shown;
  const start = Math.max(0, Math.min(cursor - WINDOW / 2, all - WINDOW));
  return [start, start + WINDOW];
}

// Fills `where` and returns the words' elements by index.
export function draw(where, record, [from, to], interactive) {
  const nodes = new Map();
  const parts = [];
  const { struck } = interactive ? record : {};
  const covers = new Array(to - from + 1);
  for (const span of record.spans) {
    for (let i = Math.max(span.first, from); i <= Math.min(span.last, to - 1); i++) (covers[i - from] ??= []).push(span);
  }
  let before = [];
  for (let i = from; i < to; i++) {
    const here = covers[i - from] ?? [];
    const gap = record.pieces[2 * i];
    if (gap) {
      const through = here.find((span) => before.includes(span));
      if (through) parts.push(element("span", gap, `span s${looks(through.source)}`));
      else parts.push(struck?.[2 * i] ? element("del", gap) : document.createTextNode(gap));
    }
    const node = element("span", piece(record, i), "word");
    const gone = struck?.[2 * i + 1];
    if (gone) {
      // Every other part was marked in the previous version.
      node.replaceChildren(...gone.map((part, n) => (n % 2 ? element("del", part) : document.createTextNode(part))));
      node.title = `marked before: ${gone.filter((_, n) => n % 2).join(" ")}`;
    }
    if (here.length) {
      const span = here[0];
      node.classList.add("span", `s${looks(span.source)}`);
      if (!gone) node.title = here.map(describe).join("\n");
      if (i === span.last) {
        node.classList.add("last");
        node.dataset.label = span.label;
      }
    }
    if (interactive) {
      node.dataset.i = i;
      node.tabIndex = -1;
      node.setAttribute("role", "button");
      node.setAttribute("aria-pressed", String(here.length > 0));
      const notes = [...here.map(describe), ...(gone ? [node.title] : [])];
      if (gone && here.length) node.title = notes.join("\n");
      if (notes.length) node.setAttribute("aria-label", `${node.textContent}, ${notes.join(", ")}`);
    }
    nodes.set(i, node);
    parts.push(node);
    before = here;
  }
  if (to === words(record)) parts.push(document.createTextNode(record.rest));
  where.replaceChildren(...parts);
  return nodes;
}

// Indices of the words that another version of the record marks differently. Its words may be cut differently.
export function differing(record, other) {
  const theirs = labels(other);
  const indices = [];
  let at = 0;
  for (let i = 0; i < words(record); i++) {
    at += record.pieces[2 * i].length;
    const here = labelsAt(record, i);
    const end = at + piece(record, i).length;
    let same = true;
    for (; at < end; at++) same &&= theirs[at] === here;
    if (!same) indices.push(i);
  }
  return indices;
}

const labelsAt = (record, i) => spansAt(record, i).map((span) => span.label).sort().join("\n");

// The labels of every character, by UTF-16 unit.
function labels(record) {
  const units = [];
  for (let i = 0; i < words(record); i++) {
    for (const _ of record.pieces[2 * i].split("")) units.push("");
    const here = labelsAt(record, i);
    for (const _ of piece(record, i).split("")) units.push(here);
  }
  return units;
}

export function describe(span) {
  const score = span.score === null ? "" : ` ${span.score.toFixed(2)}`;
  return `${span.label} by ${span.source || "unknown"}${score}`;
}

// The UTF-16 offset of a word, to find it again after the text is cut differently. It never leaves the page.
export function before(record, i) {
  let length = 0;
  for (let k = 0; k < 2 * i + 1; k++) length += record.pieces[k].length;
  return length;
}

export function wordAt(record, length) {
  let at = 0;
  for (let i = 0; i < words(record); i++) {
    at += record.pieces[2 * i].length + piece(record, i).length;
    if (at > length) return i;
  }
  return Math.max(0, words(record) - 1);
}
