// The conversation: what was asked, what is being answered, and what happens on each press of a button.

const TRIES = 5; // of a server that is busy; then the person decides
const by = (id) => document.getElementById(id);
let views = []; // one for each exchange, in order
let running = null; // the AbortController of the answer that is coming
let follow = true; // the newest line is kept in sight, until the person scrolls away from it

function exchanges() {
  return views.map((view) => view.exchange);
}

function show() {
  views.forEach((view, at) => view.update(at === views.length - 1, models.length > 1));
  by("welcome").hidden = views.length > 0;
  by("clear").disabled = views.length === 0;
  by("send").hidden = running !== null;
  by("stop").hidden = running === null;
  by("send").disabled = !by("question").value.trim();
  keepInSight();
}

function keepInSight() {
  if (follow) by("scroller").scrollTop = by("scroller").scrollHeight;
  by("latest").hidden = isAtEnd();
}

// Many tokens may come between two frames of the screen; one drawing is enough for them, and only the last
// exchange changes.
let drawing = 0;
function showSoon() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    views.at(-1)?.update(true, models.length > 1);
    keepInSight();
  });
}

function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = by("scroller");
  return scrollHeight - scrollTop - clientHeight < 60;
}

// Asking

function send() {
  const question = by("question").value.trim();
  if (!question || running) return;
  if (firstWrong()) {
    openSettings();
    return;
  }
  by("question").value = "";
  fitQuestion();
  if (!by("notice-action").hidden) notice(null); // too late to undo; what the server waits for stays
  add(newExchange(question));
  answerLast();
}

function add(exchange) {
  const view = new ExchangeView(exchange, again);
  views.push(view);
  by("log").append(view.node);
}

function again() {
  if (running || !views.length) return;
  if (firstWrong()) {
    openSettings();
    return;
  }
  const { question } = views.pop().exchange;
  by("log").lastChild.remove();
  add(newExchange(question));
  answerLast();
}

async function answerLast() {
  const { exchange } = views.at(-1);
  running = new AbortController();
  const { signal } = running;
  exchange.model = by("model").value;
  follow = true;
  show();
  announce(t("answering"));
  try {
    Object.assign(exchange, await answerPatiently(exchange, signal), { phase: "done" });
  } catch (error) {
    exchange.phase = signal.aborted ? "stopped" : "failed";
    if (!signal.aborted) exchange.problem = error instanceof Refusal ? error : new Refusal({ key: "unreadable" });
    if (!signal.aborted && !(error instanceof Refusal)) console.error(error);
  }
  running = null;
  show();
  announce(exchange.problem ? "" : withoutThoughts(exchange.answer)); // the problem is an alert and speaks itself
  if (document.activeElement === document.body) focusQuestion(); // the stop button has gone from under it
  refreshModels(); // adapters come and go while the server runs
}

// An answer of which something came is never asked for again unasked: the person has read its beginning.
async function answerPatiently(exchange, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await answerOnce(exchange, signal);
    } catch (error) {
      if (signal.aborted || exchange.answer || !(error instanceof Refusal)) throw error;
      await patienceFor(error, tries, signal);
    }
  }
}

// Returns when it makes sense to try again; throws where it does not.
async function patienceFor(error, tries, signal) {
  if (error.status === 401) {
    if (!(await askForKey(error))) throw new Refusal({ key: "key_missing" });
    return;
  }
  if (error.status === 503 && !(await health())?.ready) {
    await untilReady(signal);
    return;
  }
  if (![429, 503].includes(error.status) || tries >= TRIES) throw error;
  await countDown(Math.ceil(error.retryAfter ?? 2), signal);
}

async function answerOnce(exchange, signal) {
  exchange.askedAt = performance.now();
  return complete(bodyFor(exchange), signal, (text) => {
    exchange.lastAt = performance.now();
    exchange.firstAt ??= exchange.lastAt;
    exchange.phase = "writing";
    exchange.answer += text;
    showSoon();
  });
}

// An exchange without an answer is left out: two turns of the user in a row are refused by many chat templates.
function bodyFor(exchange) {
  const before = exchanges().filter((other) => other !== exchange && withoutThoughts(other.answer));
  const turns = before.flatMap((other) => [
    { role: "user", content: other.question },
    { role: "assistant", content: withoutThoughts(other.answer) },
  ]);
  return {
    ...(exchange.model && { model: exchange.model }),
    messages: [...systemMessages(), ...turns, { role: "user", content: exchange.question }],
    ...chosenNumbers(),
    stream: true,
    stream_options: { include_usage: true },
  };
}

function clear() {
  running?.abort();
  const gone = views;
  views = [];
  by("log").replaceChildren();
  show();
  focusQuestion();
  notice(t("cleared"), {
    action: t("undo"),
    onAction: () => {
      views = [...gone, ...views];
      by("log").replaceChildren(...views.map((view) => view.node));
      notice(null);
      show();
    },
  });
}

// Buttons and keys

// On a phone the focus would open the keyboard over the answer.
function focusQuestion() {
  if (matchMedia("(hover: hover)").matches) by("question").focus();
}

function fitQuestion() {
  const area = by("question");
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

function switchLanguage() {
  speak(by("language").lang);
  remember("language", language);
  showModels();
  show();
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember("theme", root.dataset.theme);
}

function onKey(event) {
  const dialogOpen = document.querySelector("dialog[open]") !== null;
  if (event.key === "Escape" && running && !dialogOpen) running.abort();
}

function onQuestionKey(event) {
  // While an input method composes a word, Enter accepts the word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  send();
}

function listen() {
  by("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  by("question").addEventListener("keydown", onQuestionKey);
  by("question").addEventListener("input", () => {
    fitQuestion();
    by("send").disabled = !by("question").value.trim();
  });
  by("stop").addEventListener("click", () => running?.abort());
  by("clear").addEventListener("click", clear);
  by("language").addEventListener("click", switchLanguage);
  by("theme").addEventListener("click", switchTheme);
  by("latest").addEventListener("click", () => {
    follow = true;
    show();
  });
  by("scroller").addEventListener("scroll", () => {
    follow = isAtEnd();
    by("latest").hidden = follow;
  });
  window.addEventListener("resize", show); // a keyboard on the screen takes room from below
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && !becomingReady) refreshModels();
  });
}

async function start() {
  if (recall("theme")) document.documentElement.dataset.theme = recall("theme");
  speak(firstLanguage());
  listen();
  watchSettings();
  showModels();
  show();
  focusQuestion();
  await untilReady();
  await refreshModels(askForKey);
}

start();
