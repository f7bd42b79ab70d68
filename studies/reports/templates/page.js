// Draws each figure in the colours of the page when it scrolls into view; sorts and filters tables.
"use strict";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const hasWebGL = (() => {
  try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
})();

// The layout of a figure with the colours of the style sheet, which change with the colour scheme.
function themed(layout) {
  const text = css("--text"), grid = css("--grid"), line = css("--line"), card = css("--card");
  const made = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true };
  made.font = { family: css("--sans"), size: 12.5, color: text };
  made.hoverlabel = { bgcolor: card, bordercolor: line, font: { family: css("--sans"), color: text }, align: "left" };
  made.modebar = { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") };
  for (const key of Object.keys(made).filter((key) => /^[xy]axis\d*$/.test(key))) {
    made[key] = { gridcolor: grid, linecolor: line, zerolinecolor: line, tickcolor: line, ...made[key] };
    made[key].title = { ...made[key].title, font: { size: 13 } };
  }
  return made;
}

function draw(figure) {
  const { data, layout } = JSON.parse(document.getElementById(figure.dataset.source).textContent);
  figure.dataset.drawn = "yes";
  if (!hasWebGL) {
    if (data.some((trace) => trace.type === "parcoords")) {
      figure.textContent = "This figure needs WebGL, which this browser does not support.";
      figure.style.height = "auto";
      return;
    }
    for (const trace of data) if (trace.type === "scattergl") trace.type = "scatter";
  }
  // Remove plotly's button that uploads the data of the figure to a server.
  const quiet = { showSendToCloud: false, plotlyServerURL: "", displaylogo: false };
  const config = { ...quiet, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  Plotly.react(figure, data, themed(layout), config);
}

const figures = [...document.querySelectorAll(".figure")];
const drawn = () => figures.filter((figure) => figure.dataset.drawn);
const unfolded = () => figures.filter((figure) => !figure.closest("details.study:not([open])"));

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting && !target.dataset.drawn) draw(target);
}, { rootMargin: "600px" });
figures.forEach((figure) => watcher.observe(figure));

// Only one study is open at a time, and closing it releases its WebGL contexts: a browser allows about 16 per page.
const studies = [...document.querySelectorAll("details.study")];
for (const study of studies) {
  study.addEventListener("toggle", () => {
    if (study.open) {
      for (const other of studies) if (other !== study) other.open = false;
      return;
    }
    for (const figure of study.querySelectorAll(".figure[data-drawn]")) {
      Plotly.purge(figure);
      delete figure.dataset.drawn; // so that the observer draws it again
    }
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn().forEach(draw));
// The print style is always light, so redraw the figures before and after printing.
matchMedia("print").addEventListener("change", () => unfolded().forEach(draw));

// Sorting: numbers by value, then text alphabetically; empty cells and NaN are last in both directions.
function keyOf(cell) {
  const text = cell.dataset.v ?? cell.textContent;
  if (["", "–", "nan"].includes(text)) return null;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function sort(table, header) {
  const column = header.cellIndex, body = table.tBodies[0];
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const keyed = [...body.rows].map((row) => ({ row, key: keyOf(row.cells[column]) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return down ? compare(b.key, a.key) : compare(a.key, b.key);
  });
  body.append(...keyed.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button").addEventListener("click", () => sort(table, header));
  }
}

// Filtering: show the rows that contain every word.
for (const input of document.querySelectorAll("input.filter")) {
  const place = input.closest(".tools");
  const rows = [...place.nextElementSibling.querySelectorAll("tbody tr")];
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join("\n").toLowerCase());
  const status = place.querySelector(".matches");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let kept = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      kept += !row.hidden;
    });
    const all = rows.length.toLocaleString("en");
    status.textContent = words.length ? `${kept.toLocaleString("en")} of ${all} rows` : `${all} rows`;
  });
}
