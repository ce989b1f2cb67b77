"use strict";
// Figures, their hover text, and the network that a click pins. All text is set as text.
const DATA = JSON.parse(document.getElementById("data").textContent);
const NARROW = 600;  // pixels of a figure that has a key instead of names in it
const ROWS = DATA.runs.map(rowsOf);

// The rows of figures, as `trials.rows` makes them in Python.
function rowsOf(run, number) {
  const named = run.columns, cost = named[run.cost.kind];
  return (named.status || []).map((code, index) => ({
    run: number, index, trial: named.trial[index], reward: valueOf(named.reward, index),
    accuracy: valueOf(named.accuracy, index), seconds: valueOf(named.seconds, index),
    epochs: valueOf(named.epochs, index), status: run.statuses[code],
    cost: cost && cost[index] !== null ? cost[index] / run.cost.scale : null,
  }));
}

function valueOf(column, index) {
  return column ? column[index] : null;
}

function rowOf(run, trial) {
  return ROWS[run].find(row => row.trial === trial);
}

function blocksOf(row) {
  const run = DATA.runs[row.run];
  return run.columns.blocks[row.index].map(place => run.strings[place]);
}

function specOf(row) {
  const run = DATA.runs[row.run], frame = run.frames[run.columns.frame[row.index]];
  const spec = {format: "mnas-spec/1", name: `trial-${row.trial}`, blocks: blocksOf(row), ...frame};
  return JSON.stringify(spec, null, 1);
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function facts(row) {
  const run = DATA.runs[row.run], number = value => value === null ? "–" : value;
  const cause = valueOf(run.columns.cause, row.index), same = valueOf(run.columns.same, row.index);
  const found = [["reward", row.reward === null ? "–" : row.reward.toFixed(4)]];
  found.push(["accuracy", row.accuracy === null ? "–" : (100 * row.accuracy).toFixed(2) + "%"]);
  if (run.cost.kind === "latency_ms") found.push(["latency, ms", number(row.cost)]);
  for (const [name, label] of [["mult_adds", "mult-adds, M"], ["params", "params, M"]])
    found.push([label, (run.columns[name][row.index] / 1e6).toPrecision(4)]);
  if (row.epochs) found.push(["epochs", row.epochs]);
  if (row.seconds) found.push(["seconds", row.seconds.toPrecision(3)]);
  if (row.status !== "complete") found.push(["status", row.status]);
  if (same !== null && same !== undefined) found.push(["same network as", `trial ${same}`]);
  if (cause !== null && cause !== undefined) found.push(["cause", run.causes[cause]]);
  return found;
}

const tip = document.getElementById("tip");

function showTip(event, title, facts, blocks) {
  const lines = facts.map(([name, value]) =>
    element("tr", {}, element("th", {scope: "row", textContent: name}), element("td", {textContent: value})));
  tip.replaceChildren(element("b", {textContent: title}),
    element("table", {}, element("tbody", {}, ...lines)),
    element("div", {className: "blocks", textContent: blocks}));
  tip.hidden = false;
  const width = tip.offsetWidth, height = tip.offsetHeight, room = document.documentElement.clientWidth;
  const left = event.pageX + 14 + width > room ? event.pageX - width - 14 : event.pageX + 14;
  tip.style.left = Math.max(4, left) + "px";
  const below = event.clientY + 14 + height > window.innerHeight;
  tip.style.top = (below ? Math.max(window.scrollY, event.pageY - height - 14) : event.pageY + 14) + "px";
}

function hideTip() {
  tip.hidden = true;
}

// Shows the network of a trial below the front: its drawing where the page has one.
function pin(row) {
  const panel = document.querySelector(`.pinned[data-run="${row.run}"]`);
  if (!panel) return;
  const drawing = document.querySelector(
    `template.drawing[data-run="${row.run}"][data-trial="${row.trial}"]`);
  const text = facts(row).map(([name, value]) => `${name} ${value}`).join(" · ");
  const close = element("button", {type: "button", textContent: "close"});
  const before = document.activeElement;  // where a reader without a mouse goes on
  close.addEventListener("click", () => { panel.hidden = true; before.focus(); });
  const body = drawing ? drawing.content.cloneNode(true)
    : element("pre", {textContent: blocksOf(row).join("\n")});
  panel.replaceChildren(
    element("header", {}, element("b", {textContent: `Trial ${row.trial}`}), copyButton(row), close),
    element("p", {className: "caption", textContent: text}),
    element("div", {className: "wide", tabIndex: 0, role: "group", ariaLabel: "Pinned network"}, body));
  panel.dataset.trial = row.trial;
  panel.hidden = false;
}

function copyButton(row) {
  const button = element("button", {type: "button", textContent: "copy spec"});
  button.addEventListener("click", event => {
    event.stopPropagation();
    copy(specOf(row)).then(done => {
      button.textContent = done ? "copied" : "not copied";
      setTimeout(() => { button.textContent = "copy spec"; }, 1500);
    });
  });
  return button;
}

// Pages that were opened from a disk may have no clipboard, so a selection is the second way.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", {value: text, className: "copied"});
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

const figures = new Map();  // promises of the figures that are drawn, by their place

function draw(place) {
  if (!figures.has(place)) figures.set(place, embed(place));
  return figures.get(place);
}

function embed(place) {
  const run = place.dataset.run === undefined ? null : Number(place.dataset.run);
  const spec = {...DATA.charts[place.dataset.chart]};
  if (run !== null) spec.datasets = {trials: ROWS[run]};
  const rowUnder = item => run !== null && item && item.datum && item.datum.trial !== undefined
    && item.tooltip !== undefined ? rowOf(run, item.datum.trial) : null;
  // Points of studies bring their own text, as [title, [[name, value], ...]], and a link.
  const textOf = item => item && item.datum && item.tooltip !== undefined ? item.datum.tip : undefined;
  const hover = (handler, event, item) => {
    const row = rowUnder(item), text = textOf(item);
    if (row) showTip(event, `trial ${row.trial}`, facts(row), blocksOf(row).join(" "));
    else if (text) showTip(event, text[0], text[1], "");
    else hideTip();
  };
  const narrow = place.clientWidth < NARROW && place.parentElement.querySelector(".key") !== null;
  place.parentElement.classList.toggle("narrow", narrow);
  if (narrow) {
    spec.layer = spec.layer.filter(layer => !(layer.name || "").startsWith("names"));
    spec.padding = {left: 0, top: 5, bottom: 0, right: 5};
  }
  const options = {actions: false, renderer: "svg", tooltip: hover, defaultStyle: false, hover: false};
  return vegaEmbed(place, spec, options).then(({view}) => {
    place.style.minHeight = "";
    view.addEventListener("click", (event, item) => {
      const row = rowUnder(item);
      if (row) pin(row);
      else if (textOf(item) && item.datum.href) window.location.assign(item.datum.href);
    });
  });
}

// Calls `act` for each element when it comes near the visible part of the page, one after another,
// so that the page opens and scrolls at once; and for all of them before printing.
function whenNear(elements, act) {
  const queue = [];
  let busy = false;
  async function work() {
    busy = true;
    while (queue.length) {
      try { await act(queue.shift()); } catch (error) { console.error(error); }
      await new Promise(done => setTimeout(done));
    }
    busy = false;
  }
  const observer = new IntersectionObserver(entries => {
    entries.filter(entry => entry.isIntersecting).forEach(entry => {
      observer.unobserve(entry.target);
      queue.push(entry.target);
    });
    if (!busy) work();
  }, {rootMargin: "300px"});
  elements.forEach(element => observer.observe(element));
  window.addEventListener("beforeprint", () => elements.forEach(act));
}

whenNear(document.querySelectorAll(".chart"), draw);
window.addEventListener("keydown", event => { if (event.key === "Escape") hideTip(); });
