// Finds operations by what is typed. The page is whole without it.
"use strict";
const box = document.getElementById("search");
const input = box.querySelector("input");
const told = box.querySelector("output");
const lines = Array.from(document.querySelectorAll("nav li"));
const articles = new Map(lines.map((line) => [line, document.getElementById(line.dataset.for)]));
box.hidden = false;
input.addEventListener("input", () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const [line, article] of articles) {
    const text = article.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    line.hidden = article.hidden = !fits;
    found += fits ? 1 : 0;
  }
  told.textContent = words.length ? `${found} found` : "";
});
const reveal = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) { target.open = true; }
};
window.addEventListener("hashchange", reveal);
reveal();
