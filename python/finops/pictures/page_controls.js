// What the reader does: fold, zoom, pan, search, keys; and the panel of details.
//
// Owns: the document and the state of the view. The model (page_model.js) says what is visible.

const byId = (id) => document.getElementById(id);
const svg = byId("picture");
const scene = byId("scene");
const model = readModel(byId("data").textContent);
const view = { x: 0, y: 0, scale: 1 };
const state = { items: [], focus: "n0", hover: null, matches: [], match: -1 };

function render() {
  state.items = visibleItems(model);
  placeItems(state.items);
  const edges = element("g", { class: "edges" });
  const nodes = element("g", { class: "nodes" });
  for (const item of state.items) {
    if (item.parent) edges.append(drawEdge(item, model));
    nodes.append(drawItem(item, model));
  }
  scene.replaceChildren(edges, nodes);
  if (!itemOf(state.focus)) state.focus = "n0";
  const matching = new Set(state.matches.map((node) => `n${node.index}`));
  for (const group of nodes.children) {
    group.classList.toggle("match", matching.has(group.dataset.key));
  }
  markFocus(false);
}

function itemOf(key) {
  return state.items.find((item) => item.key === key);
}

function groupOf(key) {
  return scene.querySelector(`[data-key="${key}"]`);
}

function markFocus(takesFocus) {
  for (const group of scene.querySelectorAll(".focus")) {
    group.classList.remove("focus");
    group.setAttribute("tabindex", "-1");
  }
  const group = groupOf(state.focus);
  group.classList.add("focus");
  group.setAttribute("tabindex", "0");
  if (takesFocus) group.focus({ preventScroll: true });
  showDetails(itemOf(state.focus));
}

function focusItem(key) {
  state.focus = key;
  markFocus(true);
  keepInSight(itemOf(key));
}

// Folds or unfolds; the item stays where it is on the screen.
function toggle(item) {
  const before = { x: item.x, y: item.y };
  state.focus = item.key;
  if (item.more) {
    item.more.owner.shownCount += STEP;
    state.focus = item.parent.key;
  } else if (item.node.countedAt !== null) {
    if (item.node.countedAt >= 0) goTo(model.nodes[item.node.countedAt]);
    return;
  } else if (item.node.children.length) {
    item.node.isOpen = !item.node.isOpen;
  }
  render();
  const after = itemOf(item.key);
  if (after) {
    view.x += (before.x - after.x) * view.scale;
    view.y += (before.y - after.y) * view.scale;
    applyView();
  }
  markFocus(true);
}

function goTo(node) {
  revealNode(node);
  state.focus = `n${node.index}`;
  render();
  centre(itemOf(state.focus));
  markFocus(true);
}

// --- the view ------------------------------------------------------------------------------------

function applyView() {
  scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

function zoomAt(x, y, factor) {
  const scale = Math.min(4, Math.max(0.05, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  applyView();
}

function zoomBy(factor) {
  zoomAt(svg.clientWidth / 2, svg.clientHeight / 2, factor);
}

function fit() {
  const right = Math.max(...state.items.map((item) => item.x)) + BOX.width + 24;
  const bottom = Math.max(...state.items.map((item) => item.y)) + BOX.height + 12;
  const scale = Math.min(svg.clientWidth / (right + 40), svg.clientHeight / (bottom + 60));
  view.scale = Math.min(1, Math.max(0.05, scale));
  view.x = Math.max(20, (svg.clientWidth - right * view.scale) / 2);
  view.y = (svg.clientHeight - bottom * view.scale) / 2 + 10;
  applyView();
}

// As much as is readable: all of it, or else the root at the left.
function startView() {
  fit();
  if (view.scale >= 0.6) return;
  view.scale = 0.6;
  const height = (Math.max(...state.items.map((item) => item.y)) + BOX.height) * view.scale;
  const lowest = svg.clientHeight - height - 20; // further up there would be nothing to see below
  const middle = svg.clientHeight / 2 - (itemOf("n0").y + BOX.height / 2) * view.scale;
  view.x = 28;
  view.y = lowest > 30 ? lowest / 2 : Math.min(30, Math.max(lowest, middle));
  applyView();
}

function centre(item) {
  view.scale = Math.max(view.scale, 0.6);
  view.x = svg.clientWidth / 2 - (item.x + BOX.width / 2) * view.scale;
  view.y = svg.clientHeight / 2 - (item.y + BOX.height / 2) * view.scale;
  applyView();
}

function keepInSight(item) {
  const x = item.x * view.scale + view.x;
  const y = item.y * view.scale + view.y;
  const isInside = x > 0 && y > 12 && x + BOX.width * view.scale < svg.clientWidth &&
    y + BOX.height * view.scale < svg.clientHeight;
  if (!isInside) centre(item);
}

// --- pointers ------------------------------------------------------------------------------------

const pointers = new Map();
let wasDragged = false;

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { left, top } = svg.getBoundingClientRect();
  zoomAt(event.clientX - left, event.clientY - top, Math.exp(-event.deltaY * 0.0015));
}, { passive: false });

svg.addEventListener("pointerdown", (event) => {
  if (pointers.size === 0) wasDragged = false;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, startX: event.clientX,
    startY: event.clientY });
});

window.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  if (Math.hypot(event.clientX - last.startX, event.clientY - last.startY) > 5) wasDragged = true;
  const other = [...pointers.entries()].find(([id]) => id !== event.pointerId);
  if (other) pinch(last, event, other[1]);
  else if (wasDragged) {
    view.x += event.clientX - last.x;
    view.y += event.clientY - last.y;
    applyView();
  }
  last.x = event.clientX;
  last.y = event.clientY;
});

function pinch(last, now, other) {
  const before = Math.hypot(last.x - other.x, last.y - other.y);
  const after = Math.hypot(now.clientX - other.x, now.clientY - other.y);
  const { left, top } = svg.getBoundingClientRect();
  const x = (now.clientX + other.x) / 2 - left;
  const y = (now.clientY + other.y) / 2 - top;
  if (before > 0) zoomAt(x, y, after / before);
  wasDragged = true;
}

for (const name of ["pointerup", "pointercancel"]) {
  window.addEventListener(name, (event) => pointers.delete(event.pointerId));
}

svg.addEventListener("click", (event) => {
  const group = event.target.closest(".node");
  if (group && !wasDragged) toggle(itemOf(group.dataset.key));
});

svg.addEventListener("pointerover", (event) => {
  const group = event.target.closest(".node");
  const key = group ? group.dataset.key : null;
  if (key === state.hover || pointers.size) return;
  state.hover = key;
  showDetails(itemOf(key || state.focus));
});

// --- keys, search, buttons -----------------------------------------------------------------------

const KEYS = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  ArrowRight: (item) => {
    if (item.first) focusItem(item.first.key);
    else if (isFoldable(item)) toggle(item);
  },
  ArrowLeft: (item) => {
    if (item.node && item.node.isOpen && item.parent) toggle(item);
    else if (item.parent) focusItem(item.parent.key);
  },
  Enter: (item) => toggle(item),
  " ": (item) => toggle(item),
  Home: () => focusItem("n0"),
  End: () => focusItem(state.items.at(-1).key),
};
const VIEW_KEYS = {
  "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: fit,
  "/": () => byId("search").focus(),
};

function step(by) {
  const place = state.items.findIndex((item) => item.key === state.focus) + by;
  if (state.items[place]) focusItem(state.items[place].key);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, button")) return;
  const act = KEYS[event.key] || VIEW_KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(itemOf(state.focus));
});

byId("search").addEventListener("input", () => {
  state.matches = matchesOf(model, byId("search").value);
  state.match = -1;
  render();
  showMatch();
});

byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") svg.querySelector(".focus").focus();
  if (event.key !== "Enter" || !state.matches.length) return;
  const by = event.shiftKey ? -1 : 1;
  state.match = (state.match + by + state.matches.length) % state.matches.length;
  goTo(state.matches[state.match]);
  byId("search").focus();
  showMatch();
});

function showMatch() {
  const { length } = state.matches;
  const wanted = byId("search").value.trim();
  const which = state.match >= 0 ? `${state.match + 1} of ${length}` : `${length} found, Enter`;
  byId("found").textContent = !wanted ? "" : length ? which : "nothing found";
}

byId("unfold").addEventListener("click", () => {
  const isAll = openAll(model);
  render();
  fit();
  byId("found").textContent = isAll ? "" : `stopped at ${state.items.length} nodes`;
});
byId("fold").addEventListener("click", () => { closeAll(model); render(); fit(); });
byId("fit").addEventListener("click", fit);
byId("larger").addEventListener("click", () => zoomBy(1.25));
byId("smaller").addEventListener("click", () => zoomBy(0.8));
byId("theme").addEventListener("click", () => {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark";
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
});

// --- details -------------------------------------------------------------------------------------

function html(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function showDetails(item) {
  const thing = item.node || item.more;
  const panel = byId("details");
  panel.replaceChildren(html("h2", thing.name));
  if (item.node && item.node.id) panel.append(html("p", item.node.id, "id"));
  panel.append(sumList(thing, item.node));
  if (item.node) panel.append(factList(item.node));
  if (item.node) panel.append(html("h3", "Path"), pathList(item.node));
}

function sumList(thing, node) {
  const list = html("dl");
  const add = (term, text, className) => list.append(html("dt", term, className), html("dd", text));
  if (node && node.countedAt !== null) {
    add("Cost", "counted elsewhere");
    return list;
  }
  if (node && !node.foldedCount) {
    add("Own cost", node.isUnpriced ? "not known yet" : formatMoney(node.own, model.currency));
  }
  add("With all below", formatMoney(thing.total, model.currency));
  thing.sums.forEach((amount, outcome) => {
    if (amount !== 0n) add(OUTCOMES[outcome], formatMoney(amount, model.currency), "part");
  });
  if (node && node.unpricedCount) add("Unpriced", `${countOf(node.unpricedCount, "node")}: at least this`);
  if (node && node.otherCurrencyCount) {
    add("Not in the sum", `other currencies of ${countOf(node.otherCurrencyCount, "node")}`);
  }
  return list;
}

function factList(node) {
  const list = html("dl");
  const facts = {
    Kind: node.foldedCount ? "" : node.kind, Status: node.status, User: node.user,
    Cluster: node.cluster, Created: node.created, Relation: node.relation && relationOf(node),
    Note: node.isPending ? "pending: only edges or costs name it" : "",
  };
  for (const [term, text] of Object.entries(facts)) {
    if (text) list.append(html("dt", term), html("dd", text));
  }
  return list;
}

function pathList(node) {
  const list = html("ol", undefined, "path");
  for (const one of pathTo(model, node)) {
    const button = html("button", one.name);
    button.addEventListener("click", () => goTo(one));
    const line = html("li");
    line.append(button);
    list.append(line);
  }
  return list;
}

openDearest(model);
render();
startView();
window.addEventListener("resize", applyView);
