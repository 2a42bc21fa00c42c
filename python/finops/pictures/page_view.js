// The picture: where each visible node stands, and its shapes. Reads the model, changes none of it.
//
// Invariant: text enters the document as text (textContent), never as markup.

const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 236, height: 52, gapX: 74, gapY: 20 };
const ICONS = {
  project: "M1 4h5l2 2h7v8H1z",
  experiment: "M6 1h4M7 1v5L2 14h12L9 6V1M4.5 10h7",
  run: "M4 2l9 6-9 6z",
  attempt: "M13 8a5 5 0 1 1-2-4M11 1v3.4H7.6",
  dataset: "M2 4c0-3 12-3 12 0v8c0 3-12 3-12 0zM2 4c0 3 12 3 12 0M2 8c0 3 12 3 12 0",
  job: "M2 3h12v10H2zM2 6h12M5 9l2 1.5L5 12M9 12h3",
  checkpoint: "M3 15V2h10l-3 3.5L13 9H3",
  model: "M8 1l6 3.5v7L8 15l-6-3.5v-7zM2 4.5l6 3.5 6-3.5M8 8v7",
  endpoint: "M8 9v6M5 15h6M8 9a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3M4 11a5 5 0 0 1 0-7" +
    "M12 4a5 5 0 0 1 0 7",
};

// Places children in a column right of their parent, each in a row of its own, and a parent in
// the middle of its children. Adds x and y to the items.
function placeItems(items) {
  let nextRow = 0;
  for (const item of items) item.first = item.last = null;
  for (let place = items.length - 1; place >= 0; place -= 1) {
    const { parent } = items[place];
    if (!parent) continue;
    parent.first = items[place];
    parent.last = parent.last || items[place];
  }
  for (const item of items) {
    item.x = item.depth * (BOX.width + BOX.gapX);
    if (!item.first) {
      item.y = nextRow * (BOX.height + BOX.gapY);
      nextRow += 1;
    }
  }
  for (let place = items.length - 1; place >= 0; place -= 1) {
    const item = items[place]; // children come after their parent, so theirs are known
    if (item.first) item.y = (item.first.y + item.last.y) / 2;
  }
}

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function clip(text, length) {
  const characters = Array.from(text);
  if (characters.length <= length) return text;
  const tail = Math.floor((length - 1) / 2);
  return `${characters.slice(0, length - 1 - tail).join("")}…${characters.slice(-tail).join("")}`;
}

function drawEdge(item, model) {
  const from = item.parent;
  const startX = from.x + BOX.width;
  const startY = from.y + BOX.height / 2;
  const endY = item.y + BOX.height / 2;
  const middle = startX + BOX.gapX / 2 + 6;
  const thing = item.node || item.more;
  const isReference = item.node && item.node.countedAt !== null;
  return element("path", {
    class: `edge ${item.node ? item.node.outcome : "good"}${isReference ? " reference" : ""}`,
    d: `M${startX} ${startY}C${middle} ${startY} ${middle} ${endY} ${item.x} ${endY}`,
    "stroke-width": (1 + 9 * Math.sqrt(ratioOf(thing.total, model.root.total))).toFixed(2),
  });
}

function drawItem(item, model) {
  const thing = item.node || item.more;
  const group = element("g", {
    class: classesOf(item),
    transform: `translate(${item.x} ${item.y})`,
    role: "treeitem",
    "aria-level": item.depth + 1,
    "aria-label": spoken(item, model),
    "data-key": item.key,
    tabindex: "-1",
  });
  if (item.node && item.node.children.length) group.setAttribute("aria-expanded", item.node.isOpen);
  group.append(element("rect", { class: "box", width: BOX.width, height: BOX.height, rx: 7 }));
  if (item.node && ICONS[item.node.kind] && !item.node.foldedCount) {
    group.append(
      element("path", { class: "icon", d: ICONS[item.node.kind], transform: "translate(10 9)" }));
  }
  const x = group.querySelector(".icon") ? 34 : 12;
  group.append(element("text", { class: "name", x, y: 21 }, clip(thing.name, 26)));
  group.append(element("text", { class: "detail", x, y: 38 }, clip(detailOf(item), 20)));
  const cost = element("text", { class: "cost", x: BOX.width - 16, y: 38 }, costOf(item, model));
  group.append(cost);
  if (item.node && item.node.relation) {
    group.append(element("text", { class: "relation", x: 8, y: -4 }, relationOf(item.node)));
  }
  group.append(...drawBar(thing, model));
  if (isFoldable(item)) group.append(drawToggle(item));
  return group;
}

function classesOf(item) {
  if (!item.node) return "node more";
  const { node } = item;
  const marks = [node.outcome, `kind-${node.kind || "more"}`];
  if (node.isPending) marks.push("pending");
  if (node.countedAt !== null) marks.push("reference");
  if (node.foldedCount) marks.push("more");
  return `node ${marks.join(" ")}`;
}

function detailOf(item) {
  if (!item.node) return "show them";
  if (item.node.foldedCount) return "not in this file";
  if (item.node.countedAt !== null) return "counted elsewhere";
  return [item.node.status || item.node.kind, item.node.isPending ? "pending" : ""]
    .filter(Boolean).join(" · ");
}

function relationOf(node) {
  return node.step === null ? node.relation
    : `${node.relation} at step ${groupDigits(String(node.step))}`;
}

function costOf(item, model) {
  const { node } = item;
  if (node && node.countedAt !== null) return "↩";
  const thing = node || item.more;
  if (node && node.isUnpriced && node.total === 0n) return "unpriced";
  return (node && node.unpricedCount ? "≥ " : "") + formatMoney(thing.total, model.currency);
}

function spoken(item, model) {
  const { node } = item;
  const thing = node || item.more;
  const kind = node && !node.foldedCount ? `${node.kind} ` : "";
  const state = node && node.status ? `, ${node.status}` : "";
  return `${kind}${thing.name}${state}, ${costOf(item, model)}`;
}

// A bar along the lower edge: its length is the share of all, its colours how it turned out.
function drawBar(thing, model) {
  const shapes = [];
  const room = BOX.width - 16;
  let x = 8;
  thing.sums.forEach((amount, outcome) => {
    const width = ratioOf(amount, model.root.total) * room;
    if (width <= 0) return;
    shapes.push(element("rect", {
      class: `part ${OUTCOMES[outcome]}`, x: x.toFixed(2), y: BOX.height - 7,
      width: Math.max(width, 0.6).toFixed(2), height: 3.5,
    }));
    x += width;
  });
  return shapes;
}

function isFoldable(item) {
  return Boolean(item.more || item.node.children.length);
}

function drawToggle(item) {
  const sign = item.node && item.node.isOpen ? "−" : item.node ? item.node.children.length : "+";
  const text = typeof sign === "number" && sign > 99 ? "99+" : String(sign);
  return element("g", { class: "toggle", transform: `translate(${BOX.width} ${BOX.height / 2})` },
    element("circle", { r: 10 }), element("text", { y: 3.5 }, text));
}
