// Draws the panels of the chosen patch: maps with their colour bars and numbers, charts over layers, the table.

const find = (id) => document.getElementById(id);
const MAPS = { field: ["Receptive field", fieldView], bias: ["Position bias", biasView], attention: ["Attention", attentionView] };
const shownViews = {};

const pairs = (list) => list.map(([name, value]) => {
  const pair = document.createElement("div");
  pair.append(element("dt", name), element("dd", value));
  return pair;
});

function paint(canvas, [mapRows, mapColumns], codes, palette) {
  canvas.width = mapColumns;
  canvas.height = mapRows;
  const picture = new ImageData(mapColumns, mapRows);
  for (let index = 0; index < codes.length; index++) {
    for (let channel = 0; channel < 3; channel++) picture.data[4 * index + channel] = palette[3 * codes[index] + channel];
    picture.data[4 * index + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function targetBox() {
  return { x: (state.column * width) / columns, y: (state.row * height) / rows, width: width / columns, height: height / rows };
}
function place(shape, values) {
  for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
}

function drawMap(id) {
  const panel = find(`panel-${id}`), frame = panel.querySelector(".frame"), absent = panel.querySelector(".absent");
  const view = MAPS[id][1]();
  shownViews[id] = view;
  absent.hidden = view.reason === null;
  absent.textContent = view.reason ?? "";
  frame.classList.toggle("empty", view.reason !== null);
  for (const part of panel.querySelectorAll(".bar, figcaption, .numbers, .save")) part.hidden = view.reason !== null;
  if (view.reason !== null) return;
  frame.classList.toggle("offsets", Boolean(view.isByOffset));
  frame.classList.toggle("whole", Boolean(view.isWhole));
  frame.style.aspectRatio = view.isByOffset ? `${view.shape[1]} / ${view.shape[0]}` : `${width} / ${height}`;
  paint(find(id), view.shape, view.codes, view.palette);
  const [first, last] = view.span;
  const bar = Uint8Array.from({ length: 256 }, (_, index) => Math.round(first + ((last - first) * index) / 255));
  paint(panel.querySelector(".bar canvas"), [1, 256], bar, view.palette);
  panel.querySelector(".ticks").replaceChildren(...view.barLabels.map((label) => element("span", label)));
  panel.querySelector("figcaption").textContent = view.caption;
  find(`${id}-numbers`).replaceChildren(...pairs(view.numbers));
}

function drawField() {
  drawMap("field");
  if (shownViews.field.reason !== null) return;
  const at = (name) => fieldNumber(name, fieldIndex()), box = targetBox(), isFitted = at("sigma_x") !== null;
  const center = [box.x + box.width / 2, box.y + box.height / 2];
  place(find("half"), { cx: center[0], cy: center[1], r: at("half_mass_radius") });
  find("ellipse").style.display = isFitted ? "" : "none";
  if (isFitted) place(find("ellipse"), { cx: center[0] + at("shift_x"), cy: center[1] + at("shift_y"), rx: at("sigma_x"), ry: at("sigma_y") });
}

// The lines of every chart over layers, by the id of its figure.
function layerLines() {
  const xs = data.layers.map((_, index) => index);
  const over = (value) => data.layers.map((layer, index) => value(layer, index));
  const learned = (name) => over((layer) => ofHead(layer[name]));
  const [down, across] = [learned("sigmaY"), learned("sigmaX")];
  // A fit wider than the grid has run away: it is no width.
  const fitted = (side) => over((layer) => (layer.fitted === null || layer.fitted[side] > Math.max(...layer.grid) ? null : layer.fitted[side]));
  const isSame = down.every((value, index) => value === across[index]);
  const widths = isSame ? [{ name: "learned \u03c3", look: "quality", values: down }]
    : [{ name: "learned \u03c3 x", look: "across", values: across }, { name: "learned \u03c3 y", look: "down", values: down }];
  const fieldOver = (name) => fields.map((_, index) => fieldNumber(name, index));
  const head = state.head === "mean" ? 0 : Number(state.head) + 1;
  const distance = over((layer) => (layer.attention === null || attention === null || head >= attention.distance.shape[1]
    ? null : numbersAt(attention.distance, layer.attention, head)));
  const lines = {
    "chart-field": isLayered() ? [
      { name: "half of the mass", look: "quality", values: fieldOver("half_mass_radius") },
      { name: "fitted \u03c3 x", look: "across", values: fieldOver("sigma_x") },
      { name: "fitted \u03c3 y", look: "down", values: fieldOver("sigma_y") }] : [],
    "chart-sigma": [...widths, { name: "fitted \u03c3 x", look: "across fitted", values: fitted(1) },
      { name: "fitted \u03c3 y", look: "down fitted", values: fitted(0) }],
    "chart-amplitude": [{ name: "learned amplitude", look: "quality", values: learned("amplitude") }],
    "chart-distance": [{ name: headName(), look: "quality", values: distance }],
  };
  for (const line of Object.values(lines).flat()) line.xs = xs;
  return lines;
}

function metricsOf(field) {
  const numbers = field.numbers;
  const shiftLength = numbers.shift_x.map((value, index) => (value === null ? null : Math.hypot(value, numbers.shift_y[index])));
  return [["Half of the mass within (px)", numbers.half_mass_radius], ["\u03c3 x (px)", numbers.sigma_x], ["\u03c3 y (px)", numbers.sigma_y],
    ["R\u00b2 of the fit", numbers.r_squared], ["Shift of the fit (px)", shiftLength]];
}
function drawTable() {
  const field = data.fields[fieldIndex()];
  find("table-where").textContent = fieldName();
  document.querySelector(".summary table").hidden = field === null;
  find("rows").replaceChildren(...(field === null ? [] : metricsOf(field)).map(([name, values]) => {
    const sorted = values.filter((value) => value !== null).sort((left, right) => left - right);
    const row = document.createElement("tr");
    const share = (part) => (sorted.length ? quantile(sorted, part) : null);
    row.append(element("th", name, { scope: "row" }), ...[
      format(values[token()]), format(values[data.start[0] * columns + data.start[1]]), format(share(0.5)),
      sorted.length ? `${format(share(0.1))} to ${format(share(0.9))}` : "\u2013"].map((text) => element("td", text)));
    return row;
  }));
  const described = field === null ? 0 : field.numbers.sigma_x.filter((value) => value !== null).length;
  find("table-note").textContent = field === null ? "The receptive fields of this layer are not in the file."
    : `Over the ${rows * columns} patches; a Gaussian describes the fields of ${described}.`;
}

const className = (index) => data.classNames[index] ?? `class ${index}`;
// What the image is and what the model says of it.
function drawClasses() {
  const image = data.images[state.image], list = [];
  if (image.label !== null) list.push(["Label", className(image.label)]);
  image.top.forEach(([index, probability], rank) =>
    list.push([["Prediction", "Second choice", "Third choice"][rank], `${className(index)}, ${percentText(probability)}`]));
  find("classes").replaceChildren(...pairs([...list, ...areaPairs()]));
  find("classes").classList.toggle("wrong", isWrong(image));
}
const isWrong = (image) => image.label !== null && image.top.length > 0 && image.top[0][0] !== image.label;
const percentText = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

// Shows the value of the cell under the pointer, or the area of the image.
function hover(event, frame) {
  const tip = find("tip"), view = shownViews[frame.querySelector("canvas")?.id] ?? null, box = frame.getBoundingClientRect();
  const [down, across] = view === null ? [rows, columns] : view.shape ?? [0, 0];
  const row = Math.floor(((event.clientY - box.top) / box.height) * down), column = Math.floor(((event.clientX - box.left) / box.width) * across);
  const isInside = row >= 0 && column >= 0 && row < down && column < across;
  tip.hidden = !isInside;
  if (!isInside) return;
  const names = view === null ? ["row", "column"] : view.cell, at = view === null ? [row, column] : view.place(row, column);
  const pixel = [[event.clientY - box.top, box.height, height], [event.clientX - box.left, box.width, width]].map(([at, of, count]) => Math.floor((at / of) * count));
  const area = view === null ? areaName(...pixel) : "";
  const value = view !== null ? `: ${format(view.value(row * across + column))} ${view.unit}` : area ? `: ${area}` : "";
  tip.textContent = `${names[0]} ${minus(String(at[0]))}, ${names[1]} ${minus(String(at[1]))}${value}`;
  tip.style.left = `${Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 6)}px`;
  tip.style.top = `${event.clientY + 18 + tip.offsetHeight > window.innerHeight ? event.clientY - tip.offsetHeight - 8 : event.clientY + 18}px`;
}
