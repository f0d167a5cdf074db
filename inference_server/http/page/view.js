// What one question and its answer look like, and the buttons below them.

// An exchange: {question, answer, model, phase: "waiting" | "writing" | "done" | "stopped" | "failed",
// problem: Refusal | null, finish, usage, askedAt, firstAt, lastAt}; times in milliseconds of performance.now().
function newExchange(question) {
  return { question, answer: "", model: "", phase: "waiting", problem: null };
}

class ExchangeView {
  constructor(exchange, onAgain) {
    this.exchange = exchange;
    this.node = element("article");
    const question = element("div", "question");
    const asked = element("div", "", exchange.question);
    asked.dir = "auto"; // not on the bubble: which side it stands on is the page's matter
    question.append(asked);
    this.prose = element("div", "prose");
    this.prose.dir = "auto";
    this.problem = element("div", "problem");
    this.problem.role = "alert";
    this.meta = element("div", "meta");
    this.facts = element("span", "facts");
    this.copy = copyButton(() => withoutThoughts(exchange.answer));
    this.again = iconButton("again", "again", onAgain);
    const tools = element("span", "tools");
    tools.append(this.copy, this.again);
    this.meta.append(tools, this.facts);
    this.retry = element("button");
    this.retry.type = "button";
    this.retry.addEventListener("click", onAgain);
    this.node.append(heading("you"), question, heading("answer"), this.prose, this.problem, this.meta);
  }

  // Show the exchange as it is now. Only the last one can be answered again: later questions build on the others.
  update(isLast, namesModel) {
    const { phase, problem, answer } = this.exchange;
    const running = phase === "waiting" || phase === "writing";
    this.node.classList.toggle("writing", running);
    this.node.ariaBusy = String(running);
    this.prose.hidden = !running && !answer;
    showMarkdown(this.prose, answer);
    this.problem.hidden = !problem;
    if (problem) this.showProblem(problem.text, isLast);
    this.meta.hidden = running || (Boolean(problem) && !answer);
    this.copy.hidden = !answer;
    this.again.hidden = !isLast || Boolean(problem);
    // Each fact is isolated: a model's Latin name would else reorder the Arabic around it.
    const facts = factsOf(this.exchange, namesModel).map((fact) => element("bdi", "", fact));
    this.facts.replaceChildren(...facts.flatMap((fact, at) => (at ? [" · ", fact] : [fact])));
  }

  showProblem(text, isLast) {
    const said = element("span", "", text);
    said.dir = "auto"; // the server speaks English
    this.retry.textContent = t("retry");
    this.problem.replaceChildren(said, ...(isLast ? [this.retry] : []));
  }
}

function factsOf({ phase, model, finish, usage, answer, askedAt, firstAt, lastAt }, namesModel) {
  const facts = [];
  if (namesModel && model) facts.push(model);
  if (phase === "stopped") facts.push(t("stopped"));
  if (finish === "length") facts.push(t("cut"));
  if (phase === "done" && !answer) facts.push(t("empty"));
  const tokens = usage?.completion_tokens;
  // The first token took the prompt's time too, so it is no part of the rate.
  if (tokens > 1 && lastAt > firstAt) facts.push(t("rate", { n: number(((tokens - 1) * 1000) / (lastAt - firstAt), 1) }));
  if (firstAt) facts.push(t("first", { n: number((firstAt - askedAt) / 1000, 2) }));
  if (tokens) facts.push(t("tokens", { n: number(tokens) }));
  return facts;
}

function heading(key) {
  const node = element("h2", "unseen", t(key));
  node.dataset.text = key;
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function iconButton(name, key, onClick) {
  const button = element("button");
  button.type = "button";
  button.dataset.label = key;
  label(button, t(key));
  button.append(icon(name));
  button.addEventListener("click", onClick);
  return button;
}

function copyButton(text) {
  const button = iconButton("copy", "copy", async () => {
    await copyText(text());
    button.replaceChildren(icon("done"));
    label(button, t("copied"));
    announce(t("copied"));
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      label(button, t("copy"));
    }, 1500);
  });
  return button;
}

// Browsers give the clipboard's interface to https and localhost only; a Service's address is often plain http.
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element("textarea", "unseen");
  area.value = text;
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}

// Said by screen readers, seen by nobody. A stream read aloud piece by piece would be noise, so the log is silent.
function announce(text) {
  document.getElementById("announcer").textContent = text;
}
