// Settings: how to generate, and the API key. A field that is empty is not sent, so the server's default holds.

const NUMBERS = ["temperature", "max_tokens", "top_p", "top_k", "seed"];

const settingsDialog = document.getElementById("settings");
const field = (name) => document.getElementById(name);

function chosenNumbers() {
  const filled = NUMBERS.filter((name) => field(name).value !== "");
  return Object.fromEntries(filled.map((name) => [name, field(name).valueAsNumber]));
}

function systemMessages() {
  const content = field("system").value.trim();
  return content ? [{ role: "system", content }] : [];
}

// Mark the fields whose value cannot be sent, and return the first; undefined when all can.
function firstWrong() {
  for (const name of NUMBERS) field(name).ariaInvalid = String(!field(name).checkValidity());
  return NUMBERS.map(field).find((input) => !input.checkValidity());
}

function openSettings() {
  field("api-key").value = apiKey;
  settingsDialog.showModal();
  (firstWrong() ?? field("system")).focus();
}

function resetSettings() {
  for (const name of [...NUMBERS, "system"]) field(name).value = "";
  firstWrong();
}

// Ask for a key. Resolves to true once there is a new one, to false when the person would rather not.
let keyAsked = null;

function askForKey(refusal) {
  keyAsked ??= showKeyDialog(refusal).finally(() => { keyAsked = null; });
  return keyAsked; // two requests that are refused together ask once
}

function showKeyDialog(refusal) {
  const dialog = document.getElementById("ask-key");
  document.getElementById("ask-key-why").textContent = t(apiKey ? "key_refused" : "key_why");
  field("key-said").textContent = apiKey ? refusal.message : ""; // the server's own words, once a key was refused
  field("given-key").value = "";
  dialog.returnValue = "";
  settingsDialog.close();
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

function watchSettings() {
  settingsDialog.addEventListener("input", firstWrong);
  field("reset").addEventListener("click", resetSettings);
  field("open-settings").addEventListener("click", openSettings);
  // A press beside the drawer closes it, as people expect; only the backdrop is the dialog itself.
  settingsDialog.addEventListener("click", (event) => {
    const box = settingsDialog.getBoundingClientRect();
    const beside = event.clientX < box.left || event.clientX > box.right;
    if (event.target === settingsDialog && beside) settingsDialog.close();
  });
  settingsDialog.addEventListener("close", () => {
    const given = field("api-key").value.trim();
    if (given !== apiKey) {
      keepKey(given);
      refreshModels(askForKey);
    }
  });
  field("settings-form").addEventListener("submit", (event) => {
    event.preventDefault(); // else a wrong number would keep the drawer from closing
    settingsDialog.close();
  });
  const dialog = document.getElementById("ask-key");
  field("ask-key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepKey(field("given-key").value.trim());
    dialog.close("given");
  });
  field("key-cancel").addEventListener("click", () => dialog.close());
}
