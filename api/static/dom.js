// What every part of the page shares: its elements by id, and the line that tells what happens.

export const $ = (id) => document.getElementById(id);

export function say(text, bad = false) {
  $("message").textContent = text;
  $("message").classList.toggle("bad", bad);
}
