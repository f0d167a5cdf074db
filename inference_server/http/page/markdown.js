// Markdown, the part of it that models write: code, lists, headings, bold, italics. Built with DOM nodes and
// textContent only: an answer is a stranger's text, and never becomes markup.

const FENCE = /^(\s*)(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const ITEM = /^(\s*)([-*+•]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const INLINE = /(`+)(.+?)\1(?!`)|\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<![\p{L}\p{N}*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\p{L}\p{N}*])/su;

// Make `parent` show `text`. Blocks that are already there stay the same nodes, so that a selection in
// them and an opened fold survive while the rest streams in.
function showMarkdown(parent, text) {
  const blocks = blocksOf(text);
  blocks.forEach((block, at) => {
    const key = JSON.stringify(block);
    const old = parent.childNodes[at];
    if (old?.source === key) return;
    const node = old?.kind === block.kind && old.refill ? old : nodeOf(block);
    node.refill?.(block);
    Object.assign(node, { source: key, kind: block.kind });
    if (!old) parent.append(node);
    else if (node !== old) old.replaceWith(node);
  });
  while (parent.childNodes.length > blocks.length) parent.lastChild.remove();
}

// [{kind: "code" | "list" | "heading" | "text" | "thought", ...}]; an unclosed fence reaches to the end.
function blocksOf(text) {
  const thought = /^\s*<think>(.*?)(?:<\/think>|$)/s.exec(text);
  const lines = text.slice(thought ? thought[0].length : 0).split("\n");
  const blocks = thought ? [{ kind: "thought", text: thought[1].trim() }] : [];
  const readers = [takeCode, takeHeading, takeList, takeText];
  for (let at = 0; at < lines.length; ) {
    at += readers.reduce((taken, read) => taken || read(lines, at, blocks), 0) || 1; // a blank line is taken by none
  }
  return blocks;
}

// Each reader returns how many lines from `at` are its block, 0 for none, and adds the block to `out`.
function takeCode(lines, at, out) {
  const open = FENCE.exec(lines[at]);
  if (!open) return 0;
  const [, indent, fence, name] = open;
  const isEnd = (line) => line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], "");
  const found = lines.findIndex((line, n) => n > at && isEnd(line));
  const end = found < 0 ? lines.length : found;
  const dedent = (line) => line.slice(Math.min(indent.length, line.search(/\S|$/)));
  out.push({ kind: "code", language: name, text: lines.slice(at + 1, end).map(dedent).join("\n") });
  return Math.min(end + 1, lines.length) - at;
}

function takeHeading(lines, at, out) {
  const found = HEADING.exec(lines[at]);
  if (!found) return 0;
  out.push({ kind: "heading", level: found[1].length, text: found[2] });
  return 1;
}

// Items, the lines that go on with them, and blank lines between them. Bullets after numbers at the same depth are
// a list of their own, and the numbers go on behind it.
function takeList(lines, at, out) {
  const items = [];
  let end = at;
  for (; end < lines.length; end += 1) {
    const item = itemOf(lines[end]);
    if (item && (!items.length || item.depth > items[0].depth + 1 || item.ordered === items[0].ordered)) items.push(item);
    else if (item || !items.length) break;
    else if (!lines[end].trim()) {
      const next = lines.slice(end + 1).find((line) => line.trim());
      if (!next || !itemOf(next)) break;
    } else if (/^\s/.test(lines[end]) && !FENCE.test(lines[end])) items.at(-1).text += `\n${lines[end].trim()}`;
    else break;
  }
  if (items.length) out.push({ kind: "list", items });
  return end - at;
}

function itemOf(line) {
  const found = ITEM.exec(line);
  if (!found) return null;
  const [, indent, mark, text] = found;
  return { depth: indent.replaceAll("\t", "    ").length, ordered: /\d/.test(mark), start: Number.parseInt(mark, 10), text };
}

function takeText(lines, at, out) {
  const isOther = (line) => !line.trim() || FENCE.test(line) || HEADING.test(line) || ITEM.test(line);
  let end = at;
  while (end < lines.length && !isOther(lines[end])) end += 1;
  if (end > at) out.push({ kind: "text", text: lines.slice(at, end).join("\n").trim() });
  return end - at;
}

function nodeOf(block) {
  if (block.kind === "code") return codeNode();
  if (block.kind === "list") return listNode(block.items);
  if (block.kind === "thought") return thoughtNode();
  const node = element("p", block.kind === "heading" ? "heading" : "");
  if (block.kind === "heading") {
    node.role = "heading";
    node.ariaLevel = String(Math.min(block.level + 2, 6)); // below the page's title and the speaker's name
  }
  return inline(node, block.text);
}

function listNode(items) {
  const [first] = items;
  const list = element(first.ordered ? "ol" : "ul");
  if (first.ordered) list.start = first.start;
  for (let at = 0; at < items.length; ) {
    let end = at + 1;
    while (end < items.length && items[end].depth > first.depth + 1) end += 1;
    const item = inline(element("li"), items[at].text);
    if (end > at + 1) item.append(listNode(items.slice(at + 1, end)));
    list.append(item);
    at = end;
  }
  return list;
}

// Code and thoughts keep their frame while they grow, with its button and whether it is open: refill() sets the text.
function codeNode() {
  const figure = element("figure");
  const caption = element("figcaption");
  const name = element("span");
  const pre = element("pre");
  const code = element("code");
  figure.dir = "ltr"; // program text, whatever language surrounds it
  pre.tabIndex = 0; // a wide one is scrolled with the keyboard
  pre.append(code);
  caption.append(name, copyButton(() => code.textContent));
  figure.append(caption, pre);
  figure.refill = (block) => {
    name.textContent = block.language;
    code.textContent = block.text;
  };
  return figure;
}

function thoughtNode() {
  const fold = element("details");
  const summary = element("summary", "", t("thoughts"));
  const text = element("p");
  summary.dataset.text = "thoughts";
  fold.append(summary, text);
  fold.refill = (block) => { text.textContent = block.text; };
  return fold;
}

function inline(node, text) {
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    const [all, , code, bold, italic] = found;
    node.append(rest.slice(0, found.index));
    if (code !== undefined) node.append(element("code", "", code.replace(/^ (.+) $/s, "$1")));
    else node.append(inline(element(bold === undefined ? "em" : "strong"), bold ?? italic));
    rest = rest.slice(found.index + all.length);
  }
  node.append(rest);
  return node;
}

function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

// The answer as it is worth sending back: models are not shown their own thoughts again.
function withoutThoughts(text) {
  return text.replace(/^\s*<think>.*?(?:<\/think>|$)/s, "").trim();
}
