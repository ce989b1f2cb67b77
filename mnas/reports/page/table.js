"use strict";
// Tables of all trials: sorted, filtered, and rows made as they are needed.
const STEP = 100;

function columnsOf(run) {
  const million = name => ({
    value: row => DATA.runs[run].columns[name][row.index] / 1e6, text: value => value.toFixed(2),
  });
  const found = [
    ["trial", {value: row => row.trial, text: String, ascending: true}],
    ["reward", {value: row => row.reward, text: value => value.toFixed(4)}],
    ["accuracy", {value: row => row.accuracy, text: value => (100 * value).toFixed(2) + "%"}],
    ["mult-adds, M", {...million("mult_adds"), ascending: true}],
    ["params, M", {...million("params"), ascending: true}],
  ];
  if (DATA.runs[run].columns.latency_ms) {
    const value = row => DATA.runs[run].columns.latency_ms[row.index];
    found.push(["latency, ms", {value, text: latency => latency.toPrecision(3), ascending: true}]);
  }
  if (DATA.runs[run].columns.epochs) found.push(["epochs", {value: row => row.epochs, text: String}]);
  // Columns that tell no trials apart are left out.
  if (ROWS[run].reduce((sum, row) => sum + row.seconds, 0) >= 0.05 * ROWS[run].length)
    found.push(["seconds", {value: row => row.seconds, text: value => value.toPrecision(3)}]);
  if (ROWS[run].some(row => row.status !== "complete"))
    found.push(["status", {value: row => row.status, text: String, ascending: true}]);
  return found;
}

function tableOf(frame) {
  if (frame.dataset.made) return;
  frame.dataset.made = "yes";
  const run = Number(frame.dataset.run), columns = columnsOf(run);
  const form = document.querySelector(`.filters[data-run="${run}"]`);
  const body = element("tbody"), head = element("tr");
  const more = element("button", {type: "button", className: "more"});
  let sorted = {name: "reward", ascending: false}, shown = STEP, rows = [];

  columns.forEach(([name, column]) => {
    const button = element("button", {type: "button", textContent: name});
    const cell = element("th", {scope: "col"}, button);
    button.addEventListener("click", () => {
      const first = Boolean(column.ascending);
      sorted = {name, ascending: sorted.name === name ? !sorted.ascending : first};
      update();
    });
    head.append(cell);
  });
  head.append(element("th", {scope: "col", textContent: "network"}), element("th", {scope: "col", textContent: "spec", className: "spec"}));

  function accepted(row) {
    const text = form.elements.text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const {status, most, least} = form.elements;
    if (status.value && row.status !== status.value) return false;
    if (most.value && !(row.cost !== null && row.cost <= Number(most.value))) return false;
    if (least.value && !(row.accuracy !== null && 100 * row.accuracy >= Number(least.value))) return false;
    if (!text.length) return true;
    const cause = valueOf(DATA.runs[run].columns.cause, row.index);
    const words = [...blocksOf(row), String(row.trial), row.status,
      cause === null || cause === undefined ? "" : DATA.runs[run].causes[cause].toLowerCase()];
    return text.every(part => words.some(word => word.includes(part)));
  }

  function compare(one, other) {
    const {value} = columns.find(([name]) => name === sorted.name)[1];
    const [a, b] = [value(one), value(other)];
    if (a === b) return one.trial - other.trial;
    if (a === null || a === undefined) return 1;  // Without a value: last in either order.
    if (b === null || b === undefined) return -1;
    return (a < b ? -1 : 1) * (sorted.ascending ? 1 : -1);
  }

  function line(row) {
    const cells = columns.map(([name, column]) => {
      const value = column.value(row), missing = value === null || value === undefined;
      const cell = element("td", {textContent: missing ? "–" : column.text(value)});
      if (name === "status") cell.className = `status-${row.status.split(" ")[0]}`;
      return cell;
    });
    const show = element("button", {type: "button", textContent: row.trial});
    show.title = "show this network below the front";
    show.addEventListener("click", () => {
      pin(row);
      document.querySelector(`.pinned[data-run="${run}"]`)?.scrollIntoView({block: "center"});
    });
    cells[0].replaceChildren(show);
    const blocks = element("td", {className: "blocks", textContent: blocksOf(row).join(" ")});
    return element("tr", {}, ...cells, blocks, element("td", {className: "spec"}, copyButton(row)));
  }

  function fill() {
    body.replaceChildren(...rows.slice(0, shown).map(line));
    const rest = rows.length - Math.min(shown, rows.length);
    more.hidden = rest === 0;
    more.textContent = `show ${Math.min(STEP, rest)} more of ${rest.toLocaleString("en")}`;
    const all = ROWS[run].length.toLocaleString("en");
    form.querySelector("output").textContent = `${rows.length.toLocaleString("en")} of ${all} trials`;
  }

  function update() {
    shown = STEP;
    rows = ROWS[run].filter(accepted).sort(compare);
    columns.forEach(([name], index) => {
      const direction = sorted.ascending ? "ascending" : "descending";
      if (name === sorted.name) head.children[index].setAttribute("aria-sort", direction);
      else head.children[index].removeAttribute("aria-sort");
    });
    fill();
  }

  more.addEventListener("click", () => { shown += STEP; fill(); });
  form.addEventListener("input", update);
  frame.replaceChildren(element("table", {className: "trials"}, element("thead", {}, head), body), more);
  update();
}

whenNear(document.querySelectorAll(".trials.wide"), tableOf);
