// Saves what a panel shows: its map as PNG, its numbers as CSV.

const SAVED_PX = 640;

function save(name, blob) {
  const link = element("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const quoted = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
// A program for tables would run a text that begins like a formula.
const inert = (value) => (typeof value === "string" && /^[=+@-]/.test(value) ? `'${value}` : value);
const csvText = (rows) => rows.map((row) => row.map((value) => quoted(inert(value ?? ""))).join(",") + "\n").join("");
const saveCsv = (name, rows) => save(name, new Blob([csvText(rows)], { type: "text/csv" }));

// The values of a map, one line for each cell.
function mapRows(view) {
  const [, columns] = view.shape;
  return [[...view.cell, view.unit], ...Array.from({ length: view.codes.length }, (_, index) =>
    [...view.place(Math.floor(index / columns), index % columns), Number(view.value(index).toPrecision(5))])];
}

// Draws a map with its title, target, colour bar and caption on white, for slides.
function mapPicture(view, canvas, title) {
  const [width, height] = view.size, scale = SAVED_PX / Math.max(width, height), picture = document.createElement("canvas");
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  picture.width = across + 40;
  picture.height = down + 118;
  const pen = picture.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(canvas, 20, 52, across, down);
  if (view.target) {
    pen.strokeStyle = "#4fe3ff";
    pen.lineWidth = 2;
    pen.strokeRect(20 + view.target.x * scale, 52 + view.target.y * scale, view.target.width * scale, view.target.height * scale);
  }
  if (view.bar) pen.drawImage(view.bar, 20, down + 64, across, 12);
  pen.fillStyle = "#1c1d20";
  writeFitted(pen, title[0], 20, 24, across, "bold 16px sans-serif");
  writeFitted(pen, title[1], 20, 43, across, "13px sans-serif");
  view.barLabels.forEach((label, index) => {
    const share = view.barLabels.length === 1 ? 0 : index / (view.barLabels.length - 1);
    pen.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    pen.fillText(label, 20 + share * across, down + 94);
  });
  return picture;
}

function writeFitted(pen, text, x, y, width, font) {
  pen.font = font;
  pen.textAlign = "left";
  pen.fillText(text, x, y, width);
}
