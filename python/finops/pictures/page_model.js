// The tree of the page: nodes, exact money, and which of them are visible. No document in here.
//
// Invariants: amounts are BigInt picos (1e-12 of a unit), so sums are exact; every walk is a loop;
// one step of the reader shows at most STEP more nodes, "unfold all" at most MOST_VISIBLE.

const OUTCOMES = ["good", "failed", "preempted", "running"];
const FIRST_CHILDREN = 8;
const STEP = 50;
const FIRST_VISIBLE = 26;
const MOST_VISIBLE = 1500;
const FIELDS = [
  "id", "kind", "label", "status", "outcome", "user", "cluster", "created", "isPending",
  "isUnpriced", "own", "good", "failed", "preempted", "running", "nodeCount", "unpricedCount",
  "otherCurrencyCount", "parent", "relation", "step", "countedAt", "foldedCount",
];

function readModel(text) {
  const data = JSON.parse(text);
  const nodes = data.nodes.map((row, index) => {
    const node = { index, children: [], isOpen: false, shownCount: FIRST_CHILDREN };
    FIELDS.forEach((field, column) => { node[field] = row[column]; });
    node.own = BigInt(node.own);
    node.sums = OUTCOMES.map((outcome) => BigInt(node[outcome]));
    node.total = node.sums.reduce((sum, amount) => sum + amount, 0n);
    node.name = node.foldedCount ? foldName(node.foldedCount, node.kind)
      : node.label || node.id.slice(node.id.indexOf(":") + 1);
    node.revealed = new Set();
    return node;
  });
  for (const node of nodes) {
    if (node.parent >= 0) nodes[node.parent].children.push(node);
  }
  return { ...data, nodes, root: nodes[0] };
}

function foldName(count, kind) {
  return `${groupDigits(String(count))} more${kind ? ` ${kind}s` : ""}`;
}

// Opens what costs most until about FIRST_VISIBLE nodes are visible.
function openDearest(model) {
  const waiting = [model.root];
  let visibleCount = 1;
  while (waiting.length) {
    waiting.sort((a, b) => (a.total < b.total ? 1 : a.total > b.total ? -1 : a.index - b.index));
    const node = waiting.shift();
    const added = Math.min(node.children.length, FIRST_CHILDREN + 1);
    if (node !== model.root && visibleCount + added > FIRST_VISIBLE) continue;
    node.isOpen = added > 0;
    visibleCount += added;
    waiting.push(...shownChildren(node).filter((child) =>
      child.children.some((below) => below.countedAt === null)));
  }
}

// The children of an open node that stand for themselves.
function shownChildren(node) {
  const rest = node.children.length - node.shownCount;
  if (rest <= 1) return node.children; // a fold of one takes as much room as the one
  return node.children.filter((child, place) =>
    place < node.shownCount || node.revealed.has(child));
}

// What is drawn, in reading order: {key, node, depth, parent}, and for folded children
// {key, more: {...}, ...}. `parent` is the item above, or null.
function visibleItems(model) {
  const items = [];
  const waiting = [{ node: model.root, depth: 0, parent: null }];
  while (waiting.length) {
    const item = waiting.pop();
    item.key = item.node ? `n${item.node.index}` : `m${item.more.owner.index}`;
    items.push(item);
    if (!item.node || !item.node.isOpen) continue;
    const shown = shownChildren(item.node);
    const below = shown.map((node) => ({ node, depth: item.depth + 1, parent: item }));
    if (shown.length < item.node.children.length) {
      below.push({ more: moreOf(item.node, shown), depth: item.depth + 1, parent: item });
    }
    waiting.push(...below.reverse());
  }
  return items;
}

function moreOf(owner, shown) {
  const isShown = new Set(shown);
  const hidden = owner.children.filter((child) => !isShown.has(child));
  const sums = OUTCOMES.map((_, outcome) =>
    hidden.reduce((sum, child) => sum + child.sums[outcome], 0n));
  const kinds = new Set(hidden.map((child) => child.kind));
  return {
    owner,
    sums,
    count: hidden.length,
    total: sums.reduce((sum, amount) => sum + amount, 0n),
    name: foldName(hidden.length, kinds.size === 1 ? hidden[0].kind : ""),
  };
}

function revealNode(node) {
  for (let above = node; above.parent >= 0;) {
    const owner = model.nodes[above.parent];
    owner.isOpen = true;
    owner.revealed.add(above);
    above = owner;
  }
}

// Opens the widest levels first and stops before MOST_VISIBLE. Returns whether all is open.
function openAll(model) {
  let level = [model.root];
  let visibleCount = 1;
  while (level.length) {
    const next = [];
    for (const node of level) {
      if (!node.children.length) continue;
      if (visibleCount + node.children.length > MOST_VISIBLE) return false;
      visibleCount += node.children.length;
      node.isOpen = true;
      node.shownCount = node.children.length;
      next.push(...node.children);
    }
    level = next;
  }
  return true;
}

function closeAll(model) {
  for (const node of model.nodes) {
    node.isOpen = false;
    node.shownCount = FIRST_CHILDREN;
    node.revealed.clear();
  }
  model.root.isOpen = true;
}

function matchesOf(model, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  return model.nodes.filter((node) => node.countedAt === null &&
    [node.id, node.label, node.status, node.user, node.cluster].some((field) =>
      field.toLowerCase().includes(wanted)));
}

function pathTo(model, node) {
  const path = [];
  for (let at = node; at; at = model.nodes[at.parent]) path.unshift(at);
  return path;
}

// Money for people: two decimals, and below one unit up to four significant digits.
const SIGNS = { USD: "$", EUR: "€", GBP: "£", JPY: "¥", CNY: "CN¥", INR: "₹", KRW: "₩" };
const PICOS = 1000000000000n;

function formatMoney(picos, currency) {
  const isNegative = picos < 0n;
  const size = isNegative ? -picos : picos;
  let decimals = 2;
  if (size > 0n && size < (PICOS * 995n) / 1000n) {
    const leadingZeros = 12 - String(size).length;
    const digits = leadingZeros >= 2 ? 3 : 2;
    decimals = Math.min(12, Math.max(2, leadingZeros + digits));
  }
  const text = roundHalfEven(size, decimals);
  const sign = SIGNS[currency];
  const shown = sign ? `${sign}${text}` : `${text} ${currency}`;
  return isNegative ? `-${shown}` : shown;
}

function roundHalfEven(picos, decimals) {
  const unit = 10n ** BigInt(12 - decimals);
  let quotient = picos / unit;
  const rest = (picos % unit) * 2n;
  if (rest > unit || (rest === unit && quotient % 2n === 1n)) quotient += 1n;
  const digits = String(quotient).padStart(decimals + 1, "0");
  const fraction = digits.slice(-decimals);
  const kept = fraction.slice(0, 2) + fraction.slice(2).replace(/0+$/, "");
  return `${groupDigits(digits.slice(0, -decimals))}.${kept}`;
}

function countOf(count, noun) {
  return `${groupDigits(String(count))} ${noun}${count === 1 ? "" : "s"}`;
}

function groupDigits(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

// A ratio of two amounts for lengths and widths only, 0 to 1.
function ratioOf(part, whole) {
  if (whole <= 0n || part <= 0n) return 0;
  return Math.min(1, Number((part * 1000000n) / whole) / 1000000);
}
