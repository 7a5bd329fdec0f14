// The REST calls of the demo: one sign-in per tab, kept fresh, and forgotten when it ends.

const KEY = "marketplace.sign-in";

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code ?? "unknown";
    this.details = body?.details ?? {};
  }
}

// Per tab, so that two tabs can be two people, and a reload stays signed in.
export function signIn() {
  return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
}

export function keepSignIn(answer) {
  const kept = {
    user: answer.user ?? signIn()?.user,
    access: answer.access_token,
    refresh: answer.refresh_token,
    expiresAt: Date.now() + answer.expires_in * 1000,
  };
  sessionStorage.setItem(KEY, JSON.stringify(kept));
  return kept;
}

export function forgetSignIn() {
  sessionStorage.removeItem(KEY);
}

async function ask(method, path, body, token) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(`/api/v1${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    told = null;
  }
  if (!answer.ok) throw new Refused(answer.status, told);
  return told;
}

export function open(method, path, body) {
  return ask(method, path, body);
}

let refreshing = null;

// A token that lives for at least `seconds`; several callers share one refresh, which counts once.
export async function freshToken(seconds = 60) {
  const kept = signIn();
  if (!kept) throw new Refused(401, { code: "unauthorized", message: "Sign in first." });
  if (kept.expiresAt - Date.now() > seconds * 1000) return kept.access;
  refreshing ??= ask("POST", "/auth/refresh", { refresh_token: kept.refresh })
    .then((answer) => keepSignIn(answer).access)
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

export async function call(method, path, body) {
  return ask(method, path, body, await freshToken());
}
