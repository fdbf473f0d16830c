// What is shown, kept in the address of the page after "#", so that a link opens the same view.

const STATE_NUMBERS = ["image", "row", "column", "layer"];

// Writes a state as "image=0&row=3&...".
function stateText(state) {
  const known = Object.entries(state).filter(([, value]) => value !== null);
  return new URLSearchParams(known.map(([key, value]) => [key, String(value)])).toString();
}

// Reads a state; whatever is missing, unknown or out of range is as in `start`.
function stateFrom(text, start, limits) {
  const given = new URLSearchParams(text.replace(/^#/, "")), state = { ...start };
  for (const key of STATE_NUMBERS) {
    const word = given.get(key) ?? "";
    if (/^\d+$/.test(word) && Number(word) < limits[key]) state[key] = Number(word);
  }
  const head = given.get("head") ?? "";
  if (/^\d+$/.test(head) && Number(head) < limits.head) state.head = head;
  if (given.get("query") === "class" && limits.hasClassToken) state.query = "class";
  if (limits.areas.includes(given.get("areas"))) state.areas = given.get("areas");
  state.over = given.get("over") === "true";
  return state;
}
