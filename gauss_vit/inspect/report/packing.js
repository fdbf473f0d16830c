"use strict";
// Reading packed arrays and writing numbers: what knows nothing of the page.

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * 2 ** -14 * (fraction / 1024);
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

async function unpack(packed) {
  const stream = new Blob([fromBase64(packed.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  if (packed.type === "uint8") return { shape: packed.shape, values: new Uint8Array(buffer) };
  if (packed.type === "float32") return { shape: packed.shape, values: new Float32Array(buffer) };
  return { shape: packed.shape, values: Float64Array.from(new Uint16Array(buffer), fromHalf) };
}

const unpackMaps = async (maps) =>
  maps && { codes: await unpack(maps.codes), peaks: (await unpack(maps.peaks)).values, signed: maps.signed };

const minus = (text) => text.replace("-", "\u2212");
function format(value, digits = 3) {
  if (value === null || value === undefined) return "\u2013";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) return minus(value.toExponential(1).replace("e+", "e"));
  return minus(size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(digits))));
}
const signed = (value) => (value === null ? "\u2013" : (value >= 0 ? "+" : "") + minus(value.toFixed(1)));

const escaped = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function quantile(sorted, share) {
  const place = (sorted.length - 1) * share, below = Math.floor(place), above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}
