// The page: builds it once, draws it after every change, listens to pointer, keys and address.

const layerText = () => `layer ${state.layer}`;
const placeText = () => `row ${state.row}, column ${state.column}`;
const clamp = (value, most) => Math.min(Math.max(value, 0), most);
const numHeads = () => Math.max(1, ...tables.map((table) => (table ? table.shape[0] : 1)), attention ? attention.distance.shape[1] - 1 : 1);
const initialState = { ...state };

function draw() {
  const box = targetBox();
  for (const rectangle of document.querySelectorAll(".overlay rect")) place(rectangle, box);
  drawField();
  drawMap("bias");
  drawMap("attention");
  drawClasses();
  drawLegend();
  find("class-token").hidden = attention === null || attention.classToken === null;
  find("class-token").setAttribute("aria-pressed", String(asksClass()));
  const axis = layerAxis(data.layers.length, state.layer);
  for (const [id, lines] of Object.entries(layerLines())) drawChart(find(id), lines, axis);
  drawTable();
  find("where").textContent = placeText();
  find("field-where").textContent = fieldName();
  find("bias-where").textContent = layerText();
  find("attention-where").textContent = `${layerText()}${asksClass() ? ", from the class token" : ""}`;
  find("layer").value = state.layer;
  find("layer").setAttribute("aria-valuetext", `${layerText()} of 0 to ${lastLayer}`);
  find("layer-name").textContent = `${state.layer} of 0\u2013${lastLayer}`;
  find("head").value = state.head;
  find("over").checked = state.over;
  find("areas").value = state.areas;
  find("picker").setAttribute("aria-label", `Patch in ${placeText()} of ${rows} by ${columns}`);
  for (const [id, [what]] of Object.entries(MAPS)) {
    const whose = id === "attention" && asksClass() ? "the class token" : `the patch in ${placeText()}`;
    find(id).setAttribute("aria-label", `${what} of ${whose}, ${id === "field" ? fieldName() : `${layerText()}, ${headName()}`}`);
  }
  find("status").textContent = `Patch in ${placeText()}, ${layerText()}, ${headName()}`;
  Object.assign(document.body.dataset, { row: state.row, column: state.column, layer: state.layer, head: state.head, image: state.image, query: state.query });
  find("link").setAttribute("href", `#${stateText(state)}`);
  if (location.hash.slice(1) !== stateText(state)) history.replaceState(null, "", `#${stateText(state)}`);
}

function moveTo(row, column) {
  Object.assign(state, { row: clamp(row, rows - 1), column: clamp(column, columns - 1), query: "patch" });
  draw();
}
function setLayer(layer) {
  state.layer = clamp(layer, lastLayer);
  draw();
}
async function setImage(index) {
  state.image = index;
  const image = data.images[index], [found, foundAreas] = await Promise.all([attentionOf(index), unpackedAreas(index)]);
  // Another image was chosen while this one was unpacked.
  if (state.image !== index) return;
  [attention, areas] = [found, foundAreas];
  paintAreas();
  const source = `data:image/jpeg;base64,${image.jpeg}`;
  find("photo").src = source;
  find("photo").alt = imageText(image);
  document.body.classList.toggle("over", state.over);
  for (const canvas of document.querySelectorAll(".frame canvas[role]")) canvas.parentElement.style.backgroundImage = state.over ? `url(${source})` : "";
  find("thumbs").querySelectorAll("button").forEach((button, rank) => {
    button.setAttribute("aria-checked", String(rank === index));
    button.tabIndex = rank === index ? 0 : -1;
  });
  draw();
}
async function openAddress() {
  const limits = { image: data.images.length, row: rows, column: columns, layer: data.layers.length, head: numHeads(), hasClassToken: attention !== null && attention.classToken !== null, areas: areaTitles.length ? [...areaTitles, "none"] : [] };
  Object.assign(state, stateFrom(location.hash, initialState, limits));
  await setImage(state.image);
}

function imageText(image) {
  const label = image.label === null ? "" : `, label ${className(image.label)}`;
  const top = image.top.length === 0 ? "" : `, predicted ${className(image.top[0][0])}`;
  const most = image.areas.length && image.areas[0].labels.length ? `, mostly ${image.areas[0].labels[0][0]}` : "";
  return `${image.name}${label}${top}${most}${isWrong(image) ? ", wrong" : ""}`;
}

function build() {
  find("model").textContent = data.model;
  find("facts").replaceChildren(...pairs([
    ["Model", data.description], ["Step", data.step.toLocaleString("en")], ["Parameters", `${(data.parameters / 1e6).toFixed(data.parameters < 1e7 ? 2 : 1)} M`],
    ["Protocol", data.protocol], ["Images averaged", data.measured.toLocaleString("en")],
    ["Image", `${height} \u00d7 ${width} px`], ["Patches", `${rows} \u00d7 ${columns}`], ["Layers, heads", `${data.layers.length}, ${numHeads()}`],
  ]));
  find("head").append(new Option("mean", "mean"), ...Array.from({ length: numHeads() }, (_, head) => new Option(String(head), String(head))));
  find("layer").max = lastLayer;
  find("notes").replaceChildren(...data.notes.map((note) => element("li", note)));
  find("thumbs").replaceChildren(...data.images.map((image, index) => {
    const button = element("button", "", { type: "button", role: "radio", "aria-label": imageText(image), title: imageText(image) });
    const thumb = document.createElement("img");
    thumb.src = `data:image/jpeg;base64,${image.jpeg}`;
    thumb.alt = "";
    button.append(thumb);
    button.classList.toggle("wrong", isWrong(image));
    button.addEventListener("click", () => setImage(index));
    return button;
  }));
  for (const frame of document.querySelectorAll(".frame")) frame.style.aspectRatio = `${width} / ${height}`;
  for (const svg of document.querySelectorAll(".overlay")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const across = Array.from({ length: rows - 1 }, (_, row) => `M0 ${((row + 1) * height) / rows}H${width}`);
  const down = Array.from({ length: columns - 1 }, (_, column) => `M${((column + 1) * width) / columns} 0V${height}`);
  find("grid").setAttribute("d", across.concat(down).join(""));
  buildAreas();
  buildCurves();
}

// The curves of training do not depend on what is chosen.
function buildCurves() {
  find("training").hidden = data.training.length === 0;
  const template = find("chart-sigma"), looks = ["down", "across", "quality", "down fitted", "across fitted", "quality fitted"];
  for (const chart of data.training) {
    const figure = template.cloneNode(true), lines = chart.curves.map((curve, index) => ({ name: curve.name, xs: curve.steps, values: curve.values, look: looks[index % looks.length] }));
    figure.id = `training-${chart.name}`;
    figure.querySelector("h2").replaceChildren(`${chart.title} `, element("span", chart.unit, { class: "unit" }));
    find("curves").append(figure);
    drawChart(figure, lines, stepAxis(lines, data.step));
    listenToChart(figure, () => lines, "step");
  }
}

const fileName = (what) => `${data.model}_${what}`.replace(/[^\w.-]+/g, "_").slice(-80);

function listenToChart(figure, lines, axisName) {
  figure.querySelector(".save button").addEventListener("click", () => {
    const shown = lines(), xs = [...new Set(shown.flatMap((line) => line.xs))].sort((left, right) => left - right);
    saveCsv(`${fileName(figure.id)}.csv`, [[axisName, ...shown.map((line) => line.name)],
      ...xs.map((x) => [x, ...shown.map((line) => line.values[line.xs.indexOf(x)] ?? "")])]);
  });
}

function listenToMap(id) {
  const panel = find(`panel-${id}`), [what] = MAPS[id];
  const name = () => fileName(`${id}_layer-${state.layer}_patch-${state.row}-${state.column}`);
  panel.querySelector(".save-csv").addEventListener("click", () => saveCsv(`${name()}.csv`, mapRows(shownViews[id])));
  panel.querySelector(".save-png").addEventListener("click", () => {
    const view = shownViews[id], isPlain = view.isByOffset || view.isWhole;
    const size = view.isByOffset ? [view.shape[1], view.shape[0]] : [width, height];
    const picture = mapPicture({ ...view, size, target: isPlain ? null : targetBox(), bar: panel.querySelector(".bar canvas") }, find(id),
      [`${data.model}: ${what.toLowerCase()}`, find(id).getAttribute("aria-label")]);
    picture.toBlob((blob) => save(`${name()}.png`, blob));
  });
}

function listenToImage() {
  const panel = find("panel-image");
  panel.querySelector(".save-csv").addEventListener("click", () => saveCsv(`${fileName("predictions")}.csv`, areaTitles.length ? areaRows() : [
    ["image", "label", "prediction", "probability"],
    ...data.images.map((image) => [image.name, image.label === null ? "" : className(image.label),
      image.top.length ? className(image.top[0][0]) : "", image.top.length ? image.top[0][1] : ""])]));
  panel.querySelector(".save-png").addEventListener("click", () => {
    const view = { size: [width, height], target: targetBox(), bar: null, barLabels: [] };
    mapPicture(view, imagePicture(), [data.model, imageText(data.images[state.image])]).toBlob((blob) => save(`${fileName(`image-${state.image}`)}.png`, blob));
  });
}

function listen() {
  for (const frame of document.querySelectorAll(".frame")) {
    frame.addEventListener("click", (event) => {
      if (frame.classList.contains("offsets") || frame.classList.contains("empty")) return;
      const box = frame.getBoundingClientRect();
      moveTo(Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns));
    });
    frame.addEventListener("pointermove", (event) => hover(event, frame));
    frame.addEventListener("pointerleave", () => { find("tip").hidden = true; });
  }
  for (const id of Object.keys(MAPS)) listenToMap(id);
  listenToImage();
  for (const id of Object.keys(layerLines())) listenToChart(find(id), () => layerLines()[id].filter((line) => line.values.some((value) => value !== null)), "layer");
  find("layer").addEventListener("input", (event) => setLayer(Number(event.target.value)));
  find("head").addEventListener("change", (event) => { state.head = event.target.value; draw(); });
  find("class-token").addEventListener("click", () => { state.query = state.query === "class" ? "patch" : "class"; draw(); });
  find("over").addEventListener("change", (event) => { state.over = event.target.checked; setImage(state.image); });
  window.addEventListener("hashchange", openAddress);
  document.addEventListener("keydown", pressed);
}

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
function pressed(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const radio = event.target.closest("#thumbs");
  if (event.key in MOVES && radio) {
    const next = (state.image + MOVES[event.key][0] + MOVES[event.key][1] + data.images.length) % data.images.length;
    setImage(next).then(() => radio.children[next].focus());
    event.preventDefault();
  } else if (event.key in MOVES && !event.target.matches("input, select")) {
    moveTo(state.row + MOVES[event.key][0], state.column + MOVES[event.key][1]);
    event.preventDefault();
  } else if (event.key === "[" || event.key === "]") setLayer(state.layer + (event.key === "]" ? 1 : -1));
}

(async () => {
  await load();
  attention = await attentionOf(0);
  build();
  listen();
  await openAddress();
  document.documentElement.dataset.ready = "true";
})().catch((error) => {
  document.body.prepend(`This page could not be drawn: ${error}. It needs a browser of 2023 or later.`);
});
