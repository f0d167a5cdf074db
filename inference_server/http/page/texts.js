// Words: one table for both languages, and the numbers in the reader's digits.

const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const RIGHT_TO_LEFT = new Set(["ar"]);
let language = "en";

function t(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// A number with at most `digits` places behind the point.
function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

// What the person chose before, else the first language of the browser that the page knows, else English.
function firstLanguage() {
  const wanted = [recall("language"), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return wanted.find((tag) => tag in TEXTS) ?? "en";
}

function speak(tag) {
  language = tag;
  document.documentElement.lang = tag;
  document.documentElement.dir = RIGHT_TO_LEFT.has(tag) ? "rtl" : "ltr";
  document.title = t("title");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) label(node, t(node.dataset.label));
  for (const node of document.querySelectorAll("[data-name]")) node.ariaLabel = t(node.dataset.name);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = t(node.dataset.placeholder);
  const other = document.getElementById("language");
  other.lang = Object.keys(TEXTS).find((tag) => tag !== language);
}

function label(node, text) {
  node.ariaLabel = text;
  node.title = text;
}

// Two preferences outlive the tab: language and theme. A browser that forbids storage only forgets them.
function recall(name) {
  try { return localStorage.getItem(`kaito-${name}`); } catch { return null; }
}

function remember(name, value) {
  try { localStorage.setItem(`kaito-${name}`, value); } catch { /* private mode */ }
}
