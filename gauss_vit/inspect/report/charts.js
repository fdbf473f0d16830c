// Line charts: over the layers of the model, and over the steps of its training.

const CHART = { left: 40, right: 272, top: 8, bottom: 126 };

function niceStep(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [0.5, 1, 2, 5].map((part) => part * power).find((part) => most / part <= 4) ?? power;
}

// Draws lines of { name, look, xs, values }, values from 0 up and null where there is none; hides the figure without any.
// `axis` has the smallest and largest x, the labels of the x axis as pairs, its name, and the marked x, or null.
function drawChart(figure, lines, axis) {
  const svg = figure.querySelector("svg"), kept = lines.filter((line) => line.values.some((value) => value !== null));
  figure.hidden = kept.length === 0;
  if (kept.length === 0) return;
  const { left, right, top, bottom } = CHART, [first, last] = axis.span;
  const most = Math.max(...kept.flatMap((line) => line.values.filter((value) => value !== null)), 1e-9);
  const unit = niceStep(most), limit = Math.ceil(most / unit - 1e-9) * unit;
  const x = (value) => (first === last ? (left + right) / 2 : left + ((right - left) * (value - first)) / (last - first));
  const y = (value) => bottom - ((bottom - top) * value) / limit;
  let drawn = "";
  for (let tick = 0; tick <= limit + unit / 2; tick += unit)
    drawn += `<line class="rule" x1="${left}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${left - 7}" y="${y(tick) + 4}" text-anchor="end">${format(tick)}</text>`;
  for (const [value, label] of axis.labels) drawn += `<text x="${x(value)}" y="144" text-anchor="middle">${label}</text>`;
  if (axis.mark !== null) drawn += `<line class="now" x1="${x(axis.mark)}" x2="${x(axis.mark)}" y1="${top}" y2="${bottom}"/>`;
  for (const line of kept) drawn += drawnLine(line, axis, x, y);
  svg.innerHTML = drawn;
  svg.setAttribute("aria-label", chartText(figure, kept, axis));
  figure.querySelector(".legend").replaceChildren(...kept.map((line) => {
    const entry = element("span", "");
    entry.append(element("i", "", { class: line.look }), line.name);
    return entry;
  }));
}

// A line with gaps where a value is missing, a dot at the mark, and every value in a title that is shown on hover.
function drawnLine(line, axis, x, y) {
  const parts = [[]];
  line.values.forEach((value, index) => {
    if (value === null) parts.push([]);
    else parts.at(-1).push([x(line.xs[index]).toFixed(1), y(value).toFixed(1)]);
  });
  let drawn = parts.filter((part) => part.length > 1)
    .map((part) => `<polyline class="${line.look}" points="${part.map((place) => place.join(",")).join(" ")}"/>`).join("");
  line.values.forEach((value, index) => {
    if (value === null) return;
    const isAlone = line.values[index - 1] == null && line.values[index + 1] == null;
    const size = line.xs[index] === axis.mark ? 3.6 : isAlone ? 2.4 : 0;
    if (size) drawn += `<circle class="${line.look}" cx="${x(line.xs[index])}" cy="${y(value)}" r="${size}"/>`;
    drawn += `<circle class="touch" cx="${x(line.xs[index])}" cy="${y(value)}" r="7"><title>${escaped(`${axis.name} ${line.xs[index]}: ${line.name} ${format(value)}`)}</title></circle>`;
  });
  return drawn;
}

function chartText(figure, lines, axis) {
  const at = axis.mark === null ? lines[0].xs.at(-1) : axis.mark;
  const values = lines.map((line) => `${line.name} ${format(line.values[line.xs.indexOf(at)] ?? line.values.at(-1))}`);
  return `${figure.querySelector("h2").textContent}; at ${axis.name} ${at}: ${values.join(", ")}`;
}

function layerAxis(count, mark) {
  const shown = [...new Set([0, Math.floor((count - 1) / 2), count - 1])];
  return { name: "layer", span: [0, count - 1], mark, labels: shown.map((layer) => [layer, layer === 0 ? "layer 0" : String(layer)]) };
}

function stepAxis(lines, mark) {
  const steps = lines.flatMap((line) => line.xs), last = Math.max(...steps);
  return { name: "step", span: [0, last], mark: steps.includes(mark) ? mark : null, labels: [[0, "step 0"], [last, last.toLocaleString("en")]] };
}
