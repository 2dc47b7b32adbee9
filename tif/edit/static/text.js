// Draws one record's text. Data becomes text nodes and attributes only, never markup.

export const WINDOW = 2000; // words on screen at most

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

// The span that keys act on at a word: the one with label `of`, else with label `chosen`, else the shortest.
export function spanAt(record, i, of, chosen) {
  const here = spansAt(record, i);
  const shortest = here.toSorted((a, b) => a.last - a.first - (b.last - b.first))[0];
  return here.find((span) => span.label === of) ?? here.find((span) => span.label === chosen) ?? shortest ?? null;
}

// Fills `where` and returns the words' elements by index. Each span is one element around its words and the white space
// between them, so that its line does not break. Where two spans cross, the one that ends later is continued.
export function draw(where, record, [from, to], interactive) {
  const nodes = new Map();
  const root = document.createDocumentFragment();
  const open = []; // spans around the next word: { span, node }
  const add = (node) => (open.at(-1)?.node ?? root).append(node);
  const begin = (span) => {
    const node = element("span", "", `span s${span.look} deep${Math.min(open.length, 2)}${span.trained ? "" : " left-out"}`);
    node.dataset.span = `${span.first} ${span.label}`;
    node.title = describe(span);
    add(node);
    open.push({ span, node });
  };
  const { struck } = interactive ? record : {};
  const starts = new Map();
  for (const span of record.spans.toSorted((a, b) => b.last - a.last)) {
    if (span.last < from || span.first >= to) continue;
    const at = Math.max(span.first, from);
    if (starts.has(at)) starts.get(at).push(span);
    else starts.set(at, [span]);
  }
  for (let i = from; i < to; i++) {
    const gap = record.pieces[2 * i];
    if (gap) add(struck?.[2 * i] ? element("del", gap) : document.createTextNode(gap));
    for (const span of starts.get(i) ?? []) begin(span);
    const node = element("span", piece(record, i), "word");
    const gone = struck?.[2 * i + 1];
    if (gone) {
      // Every other part was marked in the previous version.
      node.replaceChildren(...gone.map((part, n) => (n % 2 ? element("del", part) : document.createTextNode(part))));
      node.title = `marked before: ${gone.filter((_, n) => n % 2).join(" ")}`;
    }
    const here = open.map(({ span }) => span);
    if (interactive) {
      node.dataset.i = i;
      node.tabIndex = -1;
      node.setAttribute("role", "button");
      node.setAttribute("aria-pressed", String(here.length > 0));
      const notes = [...here.map(describe), ...(gone ? [node.title] : [])];
      if (notes.length) {
        node.title = notes.join("\n");
        node.setAttribute("aria-label", `${node.textContent}, ${notes.join(", ")}`);
      }
    }
    nodes.set(i, node);
    add(node);
    const ended = here.filter((span) => span.last === i);
    const lowest = open.findIndex(({ span }) => span.last === i);
    if (lowest >= 0) for (const { span } of open.splice(lowest)) if (span.last !== i) begin(span);
    // A badge is written by the style sheet, so that it is no part of the text.
    for (const span of ended) {
      const badge = element("span", "", span.trained ? "badge" : "badge left-out");
      badge.dataset.label = span.label;
      add(badge);
    }
  }
  if (to === words(record)) root.append(record.rest);
  where.replaceChildren(root);
  return nodes;
}

// Indices of the words that another version of the record marks differently. Its words may be cut differently.
export function differing(record, other) {
  const ours = labels(record);
  const theirs = labels(other);
  const indices = [];
  let at = 0;
  for (let i = 0; i < words(record); i++) {
    at += record.pieces[2 * i].length;
    const end = at + piece(record, i).length;
    let same = true;
    for (; at < end; at++) same &&= theirs[at] === ours[at];
    if (!same) indices.push(i);
  }
  return indices;
}

// The labels of every character of a word, by UTF-16 unit.
function labels(record) {
  const units = [];
  const starts = new Map();
  for (const span of record.spans) starts.set(span.first, [...(starts.get(span.first) ?? []), span]);
  let open = [];
  for (let i = 0; i < words(record); i++) {
    open = [...open.filter((span) => span.last >= i), ...(starts.get(i) ?? [])];
    const here = open.map((span) => span.label).sort().join("\n");
    for (const _ of record.pieces[2 * i].split("")) units.push("");
    for (const _ of piece(record, i).split("")) units.push(here);
  }
  return units;
}

export function describe(span) {
  const score = span.score === null ? "" : ` ${span.score.toFixed(2)}`;
  return `${span.label} by ${span.source || "unknown"}${score}${span.trained ? "" : ", not trained"}`;
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
