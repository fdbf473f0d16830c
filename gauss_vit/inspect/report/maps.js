// The three maps of a patch as values: what is painted, in which colours, with which numbers and words.
//
// A view has either `reason`, why there is no map, or: `shape` [rows, columns] of its cells, `codes` into `palette`, `value`
// of a cell by its index in `unit`, `cell` and `place` to name a cell, `span` of codes and `barLabels` of its colour bar,
// `caption` and `numbers` below it, and `isByOffset` if cells are offsets instead of places in the image.

const data = JSON.parse(document.getElementById("data").textContent);
const [rows, columns] = data.grid;
const [height, width] = data.imageSize;
const palettes = Object.fromEntries(Object.entries(data.palettes).map(([name, text]) => [name, fromBase64(text)]));
const lastLayer = data.layers.length - 1;
const state = { image: 0, row: data.start[0], column: data.start[1], layer: lastLayer, head: "mean", query: "patch", over: false, areas: data.images[0].areas[0]?.title ?? null };
// Unpacked by `load` and `attentionOf`.
let fields = [], tables = [], attention = null;

const token = () => state.row * columns + state.column;
const headName = () => (state.head === "mean" ? "mean over heads" : `head ${state.head}`);
// Where only the end of the trunk was measured, it is shown at every layer.
const isLayered = () => fields.filter((field) => field !== null).length > 1;
const fieldIndex = () => (isLayered() ? state.layer : lastLayer);
const fieldName = () => [isLayered() ? `layer ${state.layer}` : "", fieldIndex() === lastLayer ? data.end : ""].filter((word) => word).join(", ");
const fieldNumber = (name, index) => (data.fields[index] === null ? null : data.fields[index].numbers[name][token()]);
const patchPlace = (row, column) => [row, column];

// The value of a code, as `packing.py` defines it.
function expanded(code, peak, isSigned) {
  const root = isSigned ? (code - 128) / 127 : code / 255;
  return peak * root * Math.abs(root);
}

function fieldView() {
  const index = fieldIndex(), maps = fields[index], at = (name) => fieldNumber(name, index);
  if (maps === null) return { reason: "The receptive fields of this layer are not in the file; see the notes below." };
  const [, ...shape] = maps.codes.shape, size = shape[0] * shape[1], percent = maps.peaks[token()] / 1e4;
  const codes = maps.codes.values.subarray(token() * size, (token() + 1) * size), [down, across] = [height / shape[0], width / shape[1]];
  const fit = at("sigma_x") === null
    ? [["Gaussian fit", at("r_squared") === null ? "none" : `none, R\u00b2 ${at("r_squared").toFixed(2)}`]]
    : [["Fit \u03c3 x, y", `${format(at("sigma_x"))}, ${format(at("sigma_y"))} px`], ["Fit R\u00b2", format(at("r_squared"))],
      ["Fit shift x, y", `${signed(at("shift_x"))}, ${signed(at("shift_y"))} px`]];
  return {
    reason: null, shape, codes, palette: palettes.field, span: [0, 255], unit: "% of the mass per pixel",
    value: (cell) => expanded(codes[cell], percent, false),
    cell: ["pixel row", "pixel column"], place: (row, column) => [row * down, column * across],
    barLabels: ["0", format(percent / 4), `${format(percent)} % per pixel`],
    caption: `How much each pixel changes this patch${data.end === "decoder" ? " of the decoder's map" : ""}, mean of ${data.measured} images; the circle holds half of the mass.`
      + `${at("sigma_x") === null ? "" : " Dashed: fitted Gaussian, 1 \u03c3."} Colours are even in the square root.`,
    numbers: [["Half of the mass within", `${format(at("half_mass_radius"))} px`], ...fit],
  };
}

function meanTable(table) {
  const [heads, down, across] = table.shape, size = down * across;
  if (state.head !== "mean") {
    const head = heads === 1 ? 0 : Number(state.head);
    return table.values.subarray(head * size, (head + 1) * size);
  }
  const mean = new Float64Array(size);
  for (let index = 0; index < table.values.length; index++) mean[index % size] += table.values[index] / heads;
  return mean;
}
// The bias of query i and key j lies at offset i minus j, so the row of a patch is read backwards.
function biasRow(values, across) {
  const row = new Float64Array(rows * columns);
  for (let keyRow = 0; keyRow < rows; keyRow++)
    for (let keyColumn = 0; keyColumn < columns; keyColumn++)
      row[keyRow * columns + keyColumn] =
        values[(state.row - keyRow + rows - 1) * across + state.column - keyColumn + columns - 1];
  return row;
}
const ofHead = (values) => {
  if (values === null) return null;
  if (state.head !== "mean") return (values.length === 1 ? values[0] : values[Number(state.head)]) ?? null;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
};

function biasView() {
  const layer = data.layers[state.layer], table = tables[state.layer];
  if (table === null) return { reason: "This model adds nothing to the logits of attention for position." };
  if (state.head !== "mean" && table.shape[0] > 1 && Number(state.head) >= table.shape[0]) return { reason: "This layer has fewer heads." };
  const all = meanTable(table), across = table.shape[2], isByOffset = !layer.showsPatches;
  const lowest = all.reduce((least, value) => Math.min(least, value), 0);
  const largest = all.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const isSigned = lowest < 0;
  const code = (value) => Math.round(isSigned ? 127.5 + (127.5 * value) / largest : (255 * value) / largest);
  const shown = isByOffset ? all : biasRow(all, across);
  const numbers = [["Largest, smallest here", `${format(Math.max(...shown))}, ${format(Math.min(...shown))}`]];
  if (layer.amplitude !== null) {
    const down = ofHead(layer.sigmaY), wide = ofHead(layer.sigmaX);
    numbers.push(["Learned amplitude", format(ofHead(layer.amplitude))]);
    numbers.push(["Learned \u03c3", (down === wide ? format(down) : `${format(wide)}, ${format(down)}`) + " patches"]);
  }
  if (layer.fitted !== null) numbers.push(["Fit \u03c3 x, y", `${format(layer.fitted[1])}, ${format(layer.fitted[0])} patches`]);
  return {
    reason: null, shape: isByOffset ? [table.shape[1], across] : [rows, columns], codes: Uint8Array.from(shown, code), isByOffset,
    palette: isSigned ? palettes.signed : palettes.bias, span: [0, 255], unit: "logits", value: (cell) => shown[cell],
    cell: isByOffset ? ["row offset", "column offset"] : ["row", "column"],
    place: isByOffset ? (row, column) => [row - (table.shape[1] - 1) / 2, column - (across - 1) / 2] : patchPlace,
    barLabels: isSigned ? [format(-largest), "0", `${format(largest)} logits`] : ["0", format(largest / 2), `${format(largest)} logits`],
    caption: isByOffset
      ? `What position adds by offset, query minus key, in windows of ${layer.grid[0]} \u00d7 ${layer.grid[1]}; ${headName()}. Centre: offset 0.`
      : `What position adds to the logits from this patch to every patch, ${headName()}. One scale per layer.`,
    numbers,
  };
}

const numbersAt = (packed, layer, head) => packed.values[(layer * packed.shape[1] + head) * packed.shape[2] + token()];
const asksClass = () => state.query === "class" && attention !== null && attention.classToken !== null;
// Attention that is not in the file, as a reason; otherwise null.
function attentionAbsence(layer) {
  const isSingle = state.head !== "mean";
  if (layer === null || attention === null) return "Weights of this layer are not in the file; see the notes below.";
  if (isSingle && !asksClass() && attention.heads === null) return "Single heads of this image are not in the file; choose the mean, or the first image.";
  if (isSingle && Number(state.head) >= attention.distance.shape[1] - 1) return "This layer has fewer heads.";
  return null;
}
// The maps that are shown, and which of them.
function chosenMaps(layer) {
  const isSingle = state.head !== "mean";
  if (asksClass()) return [attention.classToken, layer * attention.classToken.codes.shape[1] + (isSingle ? Number(state.head) + 1 : 0)];
  if (!isSingle) return [attention.mean, layer * rows * columns + token()];
  return [attention.heads, (layer * attention.heads.codes.shape[1] + Number(state.head)) * rows * columns + token()];
}
function attentionView() {
  const layer = data.layers[state.layer].attention, reason = attentionAbsence(layer);
  if (reason !== null) return { reason };
  const [maps, index] = chosenMaps(layer), size = rows * columns, percent = 100 * maps.peaks[index];
  const codes = maps.codes.values.subarray(index * size, (index + 1) * size);
  const numbers = [["Largest weight", `${format(percent)} %`]], head = state.head === "mean" ? 0 : Number(state.head) + 1;
  if (!asksClass()) numbers.unshift(["Mean distance", `${format(numbersAt(attention.distance, layer, head))} px`]);
  if (!asksClass() && data.prefix > 0) numbers.push(["On class tokens", `${format(100 * numbersAt(attention.prefix, layer, head))} %`]);
  return {
    reason: null, shape: [rows, columns], codes, palette: maps.signed ? palettes.signed : palettes.attention,
    span: maps.signed ? [1, 255] : [0, 255], unit: "% of the attention", cell: ["row", "column"], place: patchPlace,
    value: (cell) => expanded(codes[cell], percent, maps.signed),
    barLabels: maps.signed ? [format(-percent), "0", `${format(percent)} % per patch`] : ["0", format(percent / 4), `${format(percent)} % per patch`],
    caption: `How ${asksClass() ? "the class token" : "this patch"} weighs every patch of this image, ${headName()}. Colours are even in the square root.`,
    numbers, isWhole: asksClass(),
  };
}

async function load() {
  fields = await Promise.all(data.fields.map(unpackMaps));
  tables = await Promise.all(data.layers.map((layer) => (layer.table ? unpack(layer.table) : null)));
}

// Attention is unpacked when its image is first shown.
const unpackedAttention = new Map();
function attentionOf(index) {
  if (!unpackedAttention.has(index)) {
    const image = data.images[index];
    unpackedAttention.set(index, image.mean === null ? Promise.resolve(null) : Promise.all([
      unpackMaps(image.mean), unpackMaps(image.heads), unpackMaps(image.class_token), unpack(image.numbers.distance),
      unpack(image.numbers.prefix),
    ]).then(([mean, heads, classToken, distance, prefix]) => ({ mean, heads, classToken, distance, prefix })));
  }
  return unpackedAttention.get(index);
}
