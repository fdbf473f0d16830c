(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const [rows, columns] = data.grid;
  const [height, width] = data.imageSize;
  const state = { image: 0, row: data.start[0], column: data.start[1], layer: data.layers.length, head: "mean", query: "patch" };

  const palettes = Object.fromEntries(Object.entries(data.palettes).map(([name, text]) => [name, fromBase64(text)]));
  const fields = await Promise.all(data.fields.map(unpackMaps));
  const tables = await Promise.all(data.layers.map((layer) => (layer.table ? unpack(layer.table) : null)));
  const loaded = new Map();

  // Attention is unpacked when its image is first shown.
  function attentionOf(index) {
    if (!loaded.has(index)) {
      const image = data.images[index];
      loaded.set(index, image.mean === null ? Promise.resolve(null) : Promise.all([
        unpackMaps(image.mean), unpackMaps(image.heads), unpackMaps(image.class_token), unpack(image.numbers.distance),
        unpack(image.numbers.prefix),
      ]).then(([mean, heads, classToken, distance, prefix]) => ({ mean, heads, classToken, distance, prefix })));
    }
    return loaded.get(index);
  }
  let attention = await attentionOf(0);

  function fill(list, pairs) {
    list.replaceChildren(...pairs.map(([name, value]) => {
      const pair = document.createElement("div");
      pair.append(element("dt", name), element("dd", value));
      return pair;
    }));
  }

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
  function paintBar(panel, palette, [first, last], labels) {
    const codes = Uint8Array.from({ length: 256 }, (_, index) => Math.round(first + ((last - first) * index) / 255));
    paint(panel.querySelector(".bar canvas"), [1, 256], codes, palette);
    panel.querySelector(".ticks").replaceChildren(...labels.map((label) => element("span", label)));
  }
  function markTarget(svg) {
    for (const rectangle of svg.querySelectorAll("rect")) {
      const box = { x: (state.column * width) / columns, y: (state.row * height) / rows, width: width / columns, height: height / rows };
      for (const [name, value] of Object.entries(box)) rectangle.setAttribute(name, value);
    }
  }
  function setAbsent(panel, reason) {
    const frame = panel.querySelector(".frame"), absent = panel.querySelector(".absent");
    frame.classList.toggle("empty", reason !== null);
    absent.hidden = reason === null;
    absent.textContent = reason ?? "";
    for (const part of panel.querySelectorAll(".bar, figcaption, .numbers")) part.hidden = reason !== null;
    panel.querySelector(".bar").style.display = reason === null ? "" : "none";
  }

  const token = () => state.row * columns + state.column;
  const layerName = () => `layer ${state.layer} of ${data.layers.length}`;
  const headName = () => (state.head === "mean" ? "mean over heads" : `head ${Number(state.head) + 1}`);
  // Where only the end of the trunk was measured, it is shown at every layer.
  const isLayered = fields.filter((field) => field !== null).length > 1;
  const fieldIndex = () => (isLayered ? state.layer : fields.length) - 1;
  const fieldName = () => [isLayered ? `layer ${state.layer}` : "", fieldIndex() === fields.length - 1 ? "end of the trunk" : ""].filter((word) => word).join(", ");
  const fieldNumber = (name, index) => (data.fields[index] === null ? null : data.fields[index].numbers[name][token()]);

  // Of a peak in millionths: those of early layers are a considerable part of the whole.
  const perPixel = (peak) => (peak < 1e4 ? ["0", format(peak / 4), `${format(peak)} \u00d7 10\u207b\u2076 per pixel`]
    : ["0", format(peak / 4e4), `${format(peak / 1e4)} % per pixel`]);

  function drawField() {
    const panel = find("panel-field"), index = fieldIndex(), maps = fields[index], at = (name) => fieldNumber(name, index);
    setAbsent(panel, maps === null ? "The receptive fields of this layer are not in the file; see the notes below." : null);
    if (maps === null) return;
    const [, ...shape] = maps.codes.shape, size = shape[0] * shape[1], peak = maps.peaks[token()];
    paint(find("field"), shape, maps.codes.values.subarray(token() * size, (token() + 1) * size), palettes.field);
    paintBar(panel, palettes.field, [0, 255], perPixel(peak));
    panel.querySelector("figcaption").textContent =
      `Which pixels change this patch, mean of ${data.measured} images. Colours are even in the square root. Dashed: fitted Gaussian, 1 \u03c3.`;
    fill(find("field-numbers"), [
      ["Fit \u03c3 x, y", `${format(at("sigma_x"))}, ${format(at("sigma_y"))} px`],
      ["Fit R\u00b2", format(at("r_squared"))],
      ["Centre shift x, y", `${signed(at("shift_x"))}, ${signed(at("shift_y"))} px`],
      ["Radius of 50 %", `${format(at("half_mass_radius"))} px`],
    ]);
    const isFitted = at("shift_x") !== null && at("sigma_x") !== null, ellipse = find("ellipse");
    ellipse.style.display = isFitted ? "" : "none";
    const center = [((state.column + 0.5) * width) / columns, ((state.row + 0.5) * height) / rows];
    const shown = isFitted ? { cx: center[0] + at("shift_x"), cy: center[1] + at("shift_y"), rx: at("sigma_x"), ry: at("sigma_y") } : {};
    for (const [name, value] of Object.entries(shown)) ellipse.setAttribute(name, value);
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

  function drawBias() {
    const panel = find("panel-bias"), layer = data.layers[state.layer - 1], table = tables[state.layer - 1];
    let reason = null;
    if (table === null) reason = "This model adds nothing to the logits of attention for position.";
    else if (state.head !== "mean" && table.shape[0] > 1 && Number(state.head) >= table.shape[0]) reason = "This layer has fewer heads.";
    setAbsent(panel, reason);
    if (reason !== null) return;
    const all = meanTable(table), across = table.shape[2];
    const lowest = all.reduce((least, value) => Math.min(least, value), 0);
    const largest = all.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const isSigned = lowest < 0, frame = panel.querySelector(".frame");
    const code = (value) => Math.round(isSigned ? 127.5 + (127.5 * value) / largest : (255 * value) / largest);
    const shown = layer.showsPatches ? biasRow(all, across) : all;
    const shape = layer.showsPatches ? [rows, columns] : [table.shape[1], across];
    frame.classList.toggle("offsets", !layer.showsPatches);
    frame.style.aspectRatio = layer.showsPatches ? `${width} / ${height}` : `${across} / ${table.shape[1]}`;
    paint(find("bias"), shape, Array.from(shown, code), isSigned ? palettes.signed : palettes.bias);
    paintBar(panel, isSigned ? palettes.signed : palettes.bias, [0, 255],
      isSigned ? [format(-largest), "0", `${format(largest)} logits`] : ["0", format(largest / 2), `${format(largest)} logits`]);
    panel.querySelector("figcaption").textContent = layer.showsPatches
      ? `What position adds to the logits from this patch to every patch, ${headName()}. One scale per layer.`
      : `What position adds by offset, query minus key, in windows of ${layer.grid[0]} \u00d7 ${layer.grid[1]}; ${headName()}. Centre: offset 0.`;
    const numbers = [["Largest, smallest here", `${format(Math.max(...shown))}, ${format(Math.min(...shown))}`]];
    if (layer.amplitude !== null) {
      const down = ofHead(layer.sigmaY), wide = ofHead(layer.sigmaX);
      numbers.push(["Learned amplitude", format(ofHead(layer.amplitude))]);
      numbers.push(["Learned \u03c3", (down === wide ? format(down) : `${format(wide)}, ${format(down)}`) + " patches"]);
    }
    if (layer.fitted !== null) numbers.push(["Fit \u03c3 x, y", `${format(layer.fitted[1])}, ${format(layer.fitted[0])} patches`]);
    fill(find("bias-numbers"), numbers);
  }

  const attentionLayer = () => data.layers[state.layer - 1].attention;
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
  function drawAttention() {
    const panel = find("panel-attention"), layer = attentionLayer(), reason = attentionAbsence(layer);
    find("class-token").hidden = attention === null || attention.classToken === null;
    find("class-token").setAttribute("aria-pressed", String(asksClass()));
    panel.querySelector(".frame").classList.toggle("whole", asksClass());
    setAbsent(panel, reason);
    if (reason !== null) return;
    const [maps, index] = chosenMaps(layer), size = rows * columns;
    const peak = maps.peaks[index], palette = maps.signed ? palettes.signed : palettes.attention;
    paint(find("attention"), [rows, columns], maps.codes.values.subarray(index * size, (index + 1) * size), palette);
    paintBar(panel, palette, maps.signed ? [1, 255] : [0, 255], maps.signed
      ? [format(-100 * peak), "0", `${format(100 * peak)} % per patch`]
      : ["0", format(25 * peak), `${format(100 * peak)} % per patch`]);
    panel.querySelector("figcaption").textContent = `How ${asksClass() ? "the class token" : "this patch"} weighs every patch of this image, ${headName()}. Colours are even in the square root.`;
    const numbers = [["Largest weight", `${format(100 * peak)} %`]], head = state.head === "mean" ? 0 : Number(state.head) + 1;
    if (!asksClass()) numbers.unshift(["Mean distance", `${format(numbersAt(attention.distance, layer, head))} px`]);
    if (!asksClass() && data.prefix > 0) numbers.push(["On class tokens", `${format(100 * numbersAt(attention.prefix, layer, head))} %`]);
    fill(find("attention-numbers"), numbers);
  }

  function drawChart(id, series) {
    const figure = find(id), svg = figure.querySelector("svg");
    const kept = series.filter((line) => line.values.some((value) => value !== null));
    figure.hidden = kept.length === 0;
    if (kept.length === 0) return;
    const left = 34, right = 272, top = 8, bottom = 126, count = data.layers.length;
    const most = Math.max(...kept.flatMap((line) => line.values.filter((value) => value !== null)), 1e-9);
    const step = 10 ** Math.floor(Math.log10(most)), unit = [0.5, 1, 2, 5].map((part) => part * step).find((part) => most / part <= 4) ?? step;
    const limit = Math.ceil(most / unit + 1e-9) * unit;
    const x = (index) => (count === 1 ? (left + right) / 2 : left + ((right - left) * index) / (count - 1));
    const y = (value) => bottom - ((bottom - top) * value) / limit;
    let drawn = "";
    for (let tick = 0; tick <= limit + unit / 2; tick += unit)
      drawn += `<line class="rule" x1="${left}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${left - 7}" y="${y(tick) + 4}" text-anchor="end">${format(tick)}</text>`;
    for (const index of new Set([0, Math.floor((count - 1) / 2), count - 1]))
      drawn += `<text x="${x(index)}" y="144" text-anchor="middle">${index === 0 ? "layer " : ""}${index + 1}</text>`;
    drawn += `<line class="now" x1="${x(state.layer - 1)}" x2="${x(state.layer - 1)}" y1="${top}" y2="${bottom}"/>`;
    for (const line of kept) {
      const places = line.values.map((value, index) => (value === null ? null : [x(index), y(value)])).filter((place) => place !== null);
      drawn += `<polyline class="${line.look}" points="${places.map((place) => place.map((side) => side.toFixed(1)).join(",")).join(" ")}"/>`;
      const now = line.values[state.layer - 1];
      if (now !== null) drawn += `<circle class="${line.look}" cx="${x(state.layer - 1)}" cy="${y(now)}" r="3.6"/>`;
    }
    svg.innerHTML = drawn;
    const current = kept.map((line) => `${line.name} ${format(line.values[state.layer - 1])}`).join(", ");
    svg.setAttribute("aria-label", `${figure.querySelector("h2").textContent}; at layer ${state.layer}: ${current}`);
    figure.querySelector(".legend").replaceChildren(...kept.map((line) => {
      const entry = element("span", "");
      entry.append(element("i", "", { class: line.look }), line.name);
      return entry;
    }));
  }
  function drawCharts() {
    const over = (value) => data.layers.map((layer, index) => value(layer, index));
    const learned = (name) => over((layer) => ofHead(layer[name]));
    const [down, across] = [learned("sigmaY"), learned("sigmaX")];
    // A fit wider than the grid has run away: it is no width.
    const fitted = (side) => over((layer) => (layer.fitted === null || layer.fitted[side] > Math.max(...layer.grid) ? null : layer.fitted[side]));
    const isSame = down.every((value, index) => value === across[index]);
    const widths = isSame ? [{ name: "learned \u03c3", look: "quality", values: down }]
      : [{ name: "learned \u03c3 x", look: "across", values: across }, { name: "learned \u03c3 y", look: "down", values: down }];
    const fieldOver = (name) => fields.map((_, index) => fieldNumber(name, index));
    drawChart("chart-field", isLayered ? [
      { name: "fitted \u03c3 x", look: "across", values: fieldOver("sigma_x") },
      { name: "fitted \u03c3 y", look: "down", values: fieldOver("sigma_y") },
      { name: "radius of 50 %", look: "quality", values: fieldOver("half_mass_radius") }] : []);
    drawChart("chart-sigma", [...widths,
      { name: "fitted \u03c3 x", look: "across fitted", values: fitted(1) },
      { name: "fitted \u03c3 y", look: "down fitted", values: fitted(0) }]);
    drawChart("chart-amplitude", [{ name: "learned amplitude", look: "quality", values: learned("amplitude") }]);
    const head = state.head === "mean" ? 0 : Number(state.head) + 1;
    const distance = over((layer) => (layer.attention === null || attention === null || head >= attention.distance.shape[1]
      ? null : numbersAt(attention.distance, layer.attention, head)));
    drawChart("chart-distance", [{ name: headName(), look: "quality", values: distance }]);
  }

  function metricsOf(field) {
    const numbers = field.numbers;
    const shiftLength = numbers.shift_x.map((value, index) => (value === null ? null : Math.hypot(value, numbers.shift_y[index])));
    return [["\u03c3 x (px)", numbers.sigma_x], ["\u03c3 y (px)", numbers.sigma_y], ["R\u00b2 of the fit", numbers.r_squared],
      ["Centre shift (px)", shiftLength], ["Radius of 50 % (px)", numbers.half_mass_radius]];
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
        `${format(share(0.1))} to ${format(share(0.9))}`].map((text) => element("td", text)));
      return row;
    }));
    const converged = field === null ? 0 : field.numbers.sigma_x.filter((value) => value !== null).length;
    find("table-note").textContent = field === null ? "The receptive fields of this layer are not in the file."
      : `Over the ${rows * columns} patches, of which ${converged} have a fit that converged.`;
  }

  function draw() {
    for (const svg of document.querySelectorAll(".overlay")) markTarget(svg);
    drawField();
    drawBias();
    drawAttention();
    drawCharts();
    drawTable();
    const place = `row ${state.row}, column ${state.column}`;
    find("where").textContent = `patch in ${place}`;
    find("field-where").textContent = fieldName();
    find("bias-where").textContent = `layer ${state.layer}`;
    find("attention-where").textContent = `layer ${state.layer}${asksClass() ? ", from the class token" : ""}`;
    find("layer").value = state.layer;
    find("layer-name").textContent = `${state.layer} of ${data.layers.length}`;
    find("picker").setAttribute("aria-label", `Patch in ${place} of ${rows} by ${columns}`);
    for (const [id, what] of [["field", "Receptive field"], ["bias", "Position bias"], ["attention", "Attention"]]) {
      const whose = id === "attention" && asksClass() ? "the class token" : `the patch in ${place}`;
      find(id).setAttribute("aria-label", `${what} of ${whose}, ${id === "field" ? fieldName() : layerName() + ", " + headName()}`);
    }
    find("status").textContent = `Patch in ${place}, ${layerName()}, ${headName()}`;
    Object.assign(document.body.dataset, { row: state.row, column: state.column, layer: state.layer, head: state.head, image: state.image, query: state.query });
  }
  const clamp = (value, most) => Math.min(Math.max(value, 0), most);
  function moveTo(row, column) {
    state.row = clamp(row, rows - 1);
    state.column = clamp(column, columns - 1);
    state.query = "patch";
    draw();
  }
  function setLayer(layer) {
    state.layer = clamp(layer - 1, data.layers.length - 1) + 1;
    draw();
  }
  async function setImage(index) {
    state.image = index;
    const image = data.images[index], found = await attentionOf(index);
    // Another image was chosen while this one was unpacked.
    if (state.image !== index) return;
    attention = found;
    const source = `data:image/jpeg;base64,${image.jpeg}`;
    find("photo").src = source;
    find("photo").alt = image.name;
    for (const canvas of document.querySelectorAll(".frame canvas")) canvas.parentElement.style.backgroundImage = document.body.classList.contains("over") ? `url(${source})` : "";
    find("thumbs").querySelectorAll("button").forEach((button, place) => {
      button.setAttribute("aria-checked", String(place === index));
      button.tabIndex = place === index ? 0 : -1;
    });
    draw();
  }

  function build() {
    find("model").textContent = data.model;
    const heads = Math.max(1, ...tables.map((table) => (table ? table.shape[0] : 1)), attention ? attention.distance.shape[1] - 1 : 1);
    find("facts").replaceChildren(...[
      ["Step", data.step.toLocaleString("en")], ["Parameters", `${(data.parameters / 1e6).toFixed(data.parameters < 1e7 ? 2 : 1)} M`],
      ["Protocol", data.protocol], ["Images averaged", data.measured.toLocaleString("en")],
      ["Image", `${height} \u00d7 ${width} px`], ["Patches", `${rows} \u00d7 ${columns}`], ["Layers, heads", `${data.layers.length}, ${heads}`],
    ].map(([name, value]) => {
      const fact = document.createElement("div");
      fact.append(element("dt", name), element("dd", value));
      return fact;
    }));
    find("head").append(new Option("mean", "mean"), ...Array.from({ length: heads }, (_, head) => new Option(String(head + 1), String(head))));
    find("layer").max = data.layers.length;
    find("notes").replaceChildren(...data.notes.map((note) => element("li", note)));
    find("thumbs").replaceChildren(...data.images.map((image, index) => {
      const button = element("button", "", { type: "button", role: "radio", "aria-label": image.name, title: image.name });
      const thumb = document.createElement("img");
      thumb.src = `data:image/jpeg;base64,${image.jpeg}`;
      thumb.alt = "";
      button.append(thumb);
      button.addEventListener("click", () => setImage(index));
      return button;
    }));
    for (const frame of document.querySelectorAll(".frame")) frame.style.aspectRatio = `${width} / ${height}`;
    for (const svg of document.querySelectorAll(".overlay")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const across = Array.from({ length: rows - 1 }, (_, row) => `M0 ${((row + 1) * height) / rows}H${width}`);
    const down = Array.from({ length: columns - 1 }, (_, column) => `M${((column + 1) * width) / columns} 0V${height}`);
    find("grid").setAttribute("d", across.concat(down).join(""));
  }

  function listen() {
    for (const frame of document.querySelectorAll(".frame"))
      frame.addEventListener("click", (event) => {
        if (frame.classList.contains("offsets") || frame.classList.contains("empty")) return;
        const box = frame.getBoundingClientRect();
        moveTo(Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns));
      });
    find("layer").addEventListener("input", (event) => setLayer(Number(event.target.value)));
    find("head").addEventListener("change", (event) => { state.head = event.target.value; draw(); });
    find("class-token").addEventListener("click", () => { state.query = state.query === "class" ? "patch" : "class"; draw(); });
    find("over").addEventListener("change", (event) => {
      document.body.classList.toggle("over", event.target.checked);
      setImage(state.image);
    });
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const radio = event.target.closest("#thumbs");
      if (event.key in moves && radio) {
        const next = (state.image + (moves[event.key][0] + moves[event.key][1]) + data.images.length) % data.images.length;
        setImage(next).then(() => radio.children[next].focus());
        event.preventDefault();
      } else if (event.key in moves && !event.target.matches("input, select")) {
        moveTo(state.row + moves[event.key][0], state.column + moves[event.key][1]);
        event.preventDefault();
      } else if (event.key === "[" || event.key === "]") setLayer(state.layer + (event.key === "]" ? 1 : -1));
    });
  }

  build();
  listen();
  await setImage(0);
  document.documentElement.dataset.ready = "true";
})().catch((error) => {
  document.body.prepend(`This page could not be drawn: ${error}. It needs a browser of 2023 or later.`);
});
