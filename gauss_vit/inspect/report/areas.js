// The labelled areas of the image: painted over it, named under the pointer, listed for the patch and for the image.
// The boxes of objects are framed.

const AREA_TINT = 128, MOST_LISTED = 8, LEAST_CAPTIONED = 256;
const areaTitles = [...new Set(data.images.flatMap((image) => image.areas.map((each) => each.title)))];
// Of the chosen image, unpacked.
let areas = [];

async function unpackedAreas(index) {
  return Promise.all(data.images[index].areas.map(async (each) => ({ ...each, values: (await unpack(each.values)).values })));
}
const shownAreas = () => areas.find((each) => each.title === state.areas) ?? null;

// Marks the pixels within a line's width of another label.
function areaBorders(values) {
  const reach = Math.max(1, Math.round(Math.max(width, height) / 450)), isBorder = new Uint8Array(values.length);
  const compare = (one, other) => { if (values[one] !== values[other]) isBorder[one] = isBorder[other] = 1; };
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      for (let offset = 1; offset <= reach; offset++) {
        const at = row * width + column;
        if (row + offset < height) compare(at, at + offset * width);
        if (column + offset < width) compare(at, at + offset);
      }
  return isBorder;
}

function paintAreas() {
  const canvas = find("areas-map"), shown = shownAreas();
  canvas.hidden = shown === null;
  if (shown === null) return;
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height), isBorder = areaBorders(shown.values);
  shown.values.forEach((label, pixel) => {
    if (label === 255) return;
    picture.data.set([...shown.labels[label][1], isBorder[pixel] ? 255 : AREA_TINT], 4 * pixel);
  });
  const pen = canvas.getContext("2d");
  pen.putImageData(picture, 0, 0);
  // The most important ones are drawn last, over the others.
  for (const box of [...shown.boxes].reverse()) frameBox(pen, ...box);
}

// Frames a box, with its caption above it, or inside where there is no room above; small images have no room at all.
function frameBox(pen, caption, colour, [top, left, bottom, right]) {
  const size = Math.max(8, Math.max(width, height) / 40), line = Math.max(1, Math.max(width, height) / 300);
  const base = top >= size * 1.3 ? top : top + size * 1.3;
  pen.lineWidth = line;
  // A white line around the frame, so that dark colours are seen on dark images.
  pen.strokeStyle = "white";
  pen.strokeRect(left - line / 2, top - line / 2, right - left + line, bottom - top + line);
  pen.strokeStyle = pen.fillStyle = `rgb(${colour.join(" ")})`;
  pen.strokeRect(left + line / 2, top + line / 2, right - left - line, bottom - top - line);
  if (Math.max(width, height) < LEAST_CAPTIONED) return;
  pen.font = `${size}px sans-serif`;
  pen.fillRect(left, base - size * 1.3, pen.measureText(caption).width + size / 2, size * 1.3);
  pen.fillStyle = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140 ? "white" : "black";
  pen.fillText(caption, left + size / 4, base - size * 0.3);
}

// The labels in the chosen patch with their shares of it, the largest first.
function labelsHere({ values, labels }) {
  const [top, bottom] = [state.row, state.row + 1].map((row) => Math.floor((row * height) / rows));
  const [left, right] = [state.column, state.column + 1].map((column) => Math.floor((column * width) / columns));
  const counts = new Map();
  for (let row = top; row < bottom; row++)
    for (let column = left; column < right; column++) {
      const label = values[row * width + column];
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
  const size = (bottom - top) * (right - left);
  return [...counts].sort((one, other) => other[1] - one[1]).map(([label, count]) => [label === 255 ? "no label" : labels[label][0], count / size]);
}
const hereText = (each) => labelsHere(each).slice(0, 3).map(([name, share]) => (share === 1 ? name : `${name} ${percentText(share).replaceAll(" ", "\u00a0")}`)).join(", ");

// What the data of the image say, and what the model does, of a patch: pairs of a name and a text.
const areaPairs = () => areas.map((each) => [`${each.title[0].toUpperCase()}${each.title.slice(1)} here`, hereText(each)]);

function areaName(row, column) {
  const shown = shownAreas();
  if (shown === null) return "";
  const label = shown.values[row * width + column];
  return label === 255 ? "no label" : shown.labels[label][0];
}

function drawLegend() {
  const shown = shownAreas(), list = find("areas-legend");
  list.hidden = shown === null;
  if (shown === null) return;
  const count = shown.labels.length > MOST_LISTED + 1 ? MOST_LISTED : shown.labels.length;
  const entry = (name, share, colour) => {
    const item = element("li", ""), swatch = element("i", "");
    if (colour) swatch.style.background = `rgb(${colour.join(" ")})`;
    item.append(swatch, element("span", name), element("span", percentText(share), { class: "share" }));
    return item;
  };
  const entries = shown.labels.slice(0, count).map(([name, colour], index) => entry(name, shown.shares[index], colour));
  const rest = shown.shares.slice(count);
  if (rest.length) entries.push(entry(`${rest.length} other`, rest.reduce((sum, share) => sum + share, 0), null));
  list.replaceChildren(...entries);
}

// The image as it is shown, with its areas.
function imagePicture() {
  const picture = document.createElement("canvas");
  picture.width = width;
  picture.height = height;
  const pen = picture.getContext("2d");
  pen.drawImage(find("photo"), 0, 0, width, height);
  if (shownAreas() !== null) pen.drawImage(find("areas-map"), 0, 0);
  return picture;
}

const areaRows = () => [["image", "areas", "name", "share"], ...data.images.flatMap((image) =>
  image.areas.flatMap((each) => each.labels.map(([name], index) => [image.name, each.title, name, each.shares[index]])))];

function buildAreas() {
  find("areas-control").hidden = areaTitles.length === 0;
  find("areas").replaceChildren(...[...areaTitles, "none"].map((title) => new Option(title, title)));
  find("areas").addEventListener("change", (event) => { state.areas = event.target.value; paintAreas(); draw(); });
}
