// Waiting: for a server that loads, restarts or is busy, with one quiet line that says for what.

let becomingReady = null;

async function untilReady(signal) {
  becomingReady ??= pollHealth().finally(() => { becomingReady = null; });
  await Promise.race([becomingReady, whenAborted(signal)]);
}

async function pollHealth() {
  for (let state = await health(); !state?.ready; state = await health()) {
    notice(waitingText(state), { progress: state?.progress });
    await pause(1);
  }
  notice(null);
}

async function countDown(seconds, signal) {
  try {
    for (let left = seconds; left > 0; left -= 1) {
      notice(t("busy", { n: number(left) }));
      await pause(1, signal);
    }
  } finally {
    notice(null);
  }
}

// Not longer than the person wants to.
async function pause(seconds, signal) {
  let timer;
  const over = new Promise((resolve) => { timer = setTimeout(resolve, seconds * 1000); });
  try {
    await Promise.race([over, whenAborted(signal)]);
  } finally {
    clearTimeout(timer);
  }
}

function whenAborted(signal) {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function waitingText(state) {
  if (state?.status === "Draining") return t("draining");
  if (state?.detail) return t("failed", { detail: state.detail });
  if (state?.status !== "Loading") return t("waiting_for_server");
  const elapsed = number(state.elapsed_s);
  const time = state.expected_s
    ? t("loading_time", { elapsed, expected: number(state.expected_s) })
    : t("loading_elapsed", { elapsed });
  const known = `phase_${state.phase}` in TEXTS[language];
  return `${t("loading", { phase: known ? t(`phase_${state.phase}`) : state.phase })} ${time}`;
}

// One quiet line above the question; null takes it away.
function notice(text, { progress, action, onAction } = {}) {
  by("notice").hidden = text === null;
  by("notice-text").textContent = text ?? "";
  by("notice-progress").hidden = !(progress >= 0);
  if (progress >= 0) by("notice-progress").value = progress;
  by("notice-action").hidden = !action;
  by("notice-action").textContent = action ?? "";
  by("notice-action").onclick = onAction ?? null;
}
