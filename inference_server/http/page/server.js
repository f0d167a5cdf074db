// The server: its OpenAI-compatible routes, read as a stream, and its health. Addresses are relative to the page,
// so that it also works behind a proxy that puts a path before it, such as kubectl proxy.

class Refusal extends Error {
  // `status`: of HTTP, 0 when there is none. `key`: a text of ours for what the server could not say itself.
  constructor({ status = 0, message = "", key = "", retryAfter = null }) {
    super(message);
    Object.assign(this, { status, key, retryAfter });
  }

  get text() {
    return this.key ? t(this.key) : this.message || t("http_status", { status: this.status });
  }
}

let apiKey = recallKey();

function recallKey() {
  try { return sessionStorage.getItem("kaito-api-key") ?? ""; } catch { return ""; }
}

function keepKey(value) {
  apiKey = value;
  try { sessionStorage.setItem("kaito-api-key", value); } catch { /* then it lasts until the page is left */ }
}

async function request(path, options = {}) {
  const headers = { "Content-Type": "application/json", ...(apiKey && { Authorization: `Bearer ${apiKey}` }) };
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { cache: "no-store", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A key with characters that no header can carry is refused before it is sent.
    throw new Refusal(/[^\x21-\x7e]/.test(apiKey) ? { status: 401 } : { key: "unreachable" });
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response) {
  let body = null;
  try { body = await response.json(); } catch { /* a proxy's page, not our server's words */ }
  const said = body?.error?.message ?? body?.detail;
  const seconds = Number(response.headers.get("Retry-After"));
  return new Refusal({
    status: response.status,
    message: typeof said === "string" ? said : "",
    retryAfter: seconds > 0 ? Math.min(seconds, 60) : null,
  });
}

// The names that a request may ask for: [{id, parent}].
async function listModels() {
  const response = await request("v1/models");
  return readable(async () => (await response.json()).data.map(({ id, parent }) => ({ id, parent })));
}

// Ask for one answer. `onText` gets each piece as it comes. Returns {finish, usage}; usage may be null.
async function complete(body, signal, onText) {
  const response = await request("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
  let finish = null;
  let usage = null;
  for await (const data of eventsOf(response.body)) {
    if (data === "[DONE]") return { finish, usage };
    const chunk = await readable(() => JSON.parse(data));
    if (chunk.error) throw new Refusal({ message: chunk.error.message, key: chunk.error.message ? "" : "ended_early" });
    usage = chunk.usage ?? usage;
    const choice = chunk.choices?.[0];
    finish = choice?.finish_reason ?? finish;
    if (choice?.delta?.content) onText(choice.delta.content);
  }
  throw new Refusal({ key: "ended_early" });
}

async function readable(read) {
  try {
    return await read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ key: "unreadable" });
  }
}

// The data of each server-sent event. Comments (the server's keep-alive comments) and other fields are passed over.
async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let { value, done } = await next(reader); !done; ({ value, done } = await next(reader))) {
      const parts = (rest + value).split(/\r\n\r\n|\n\n/);
      rest = parts.pop();
      yield* parts.map(dataOf).filter(Boolean);
    }
  } finally {
    reader.cancel().catch(() => {}); // also tells the server, where the reading ends before the stream does
  }
}

function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trim()).join("\n");
}

async function next(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ key: "ended_early" });
  }
}

// What /healthz says: {ready, ...its body}; null when nobody answers.
async function health() {
  try {
    const response = await fetch(new URL("healthz", document.baseURI), { cache: "no-store" });
    const body = await response.json();
    return { ...body, ready: response.ok };
  } catch {
    return null;
  }
}
