// The API as the pages ask it: paths below the root, ETags, answers that are still being made, problems as sentences.

export type Query = Record<string, string | number | boolean | readonly (string | number)[] | null | undefined>;

export interface Options {
  query?: Query;
  signal?: AbortSignal;
  waiting?: (since: number) => void; // called each time the answer is still being made
}

// What the service refused, or that it could not be reached: `message` is one sentence to show as it is.
export class ApiProblem extends Error {
  constructor(
    readonly status: number, // 0: no answer
    sentence: string,
    readonly body: Record<string, unknown> = {},
    readonly retryAfter: number | null = null,
  ) {
    super(sentence);
  }
}

// Where the service is: "" or the path at which a reverse proxy shows it.
export const ROOT = document.querySelector<HTMLMetaElement>('meta[name="root"]')?.content.replace(/\/$/, "") ?? "";

export function page(path: string, query: Query = {}): string {
  return ROOT + path + asked(query);
}

export function api(path: string, query: Query = {}): string {
  return `${ROOT}/api/v1${path}${asked(query)}`;
}

export function studyPath(study: string): string {
  return `/studies/${encodeURIComponent(study)}`;
}

function asked(query: Query): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) found.append(name, String(one));
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

const KEPT = 64;
const known = new Map<string, { etag: string; value: unknown }>(); // newest last

// GETs JSON. An answer that has not changed is taken from memory; one that is being made is asked for until it is there.
export async function get<T>(path: string, options: Options = {}): Promise<T> {
  const url = api(path, options.query);
  const began = Date.now();
  for (;;) {
    const before = known.get(url);
    const answer = await sent(url, {
      headers: { Accept: "application/json", ...(before ? { "If-None-Match": before.etag } : {}) },
      signal: options.signal ?? null,
    });
    if (answer.status === 304 && before) return before.value as T;
    if (answer.status === 202) {
      options.waiting?.(began);
      await pause(Number(answer.headers.get("Retry-After") ?? 1) * 1000, options.signal);
      continue;
    }
    const value = (await read(answer)) as T;
    const etag = answer.headers.get("ETag");
    known.delete(url);
    if (etag) known.set(url, { etag, value });
    if (known.size > KEPT) known.delete(known.keys().next().value as string);
    return value;
  }
}

// Sends JSON (or a form), and returns the answer's JSON.
export async function send<T>(
  method: "POST" | "DELETE",
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<T> {
  const form = body instanceof FormData;
  const answer = await sent(api(path), {
    method,
    headers: { Accept: "application/json", ...(body === undefined || form ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? null : form ? body : JSON.stringify(body),
    signal: signal ?? null,
  });
  return (await read(answer)) as T;
}

async function sent(url: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { credentials: "same-origin", cache: "no-store", ...request });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiProblem(0, "The service does not answer. The page asks again when it does.");
  }
}

async function read(answer: Response): Promise<unknown> {
  if (answer.status === 401) toLogin();
  if (answer.status === 204) return null;
  const text = await answer.text();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiProblem(answer.status, `The service answered ${answer.status} ${answer.statusText}`.trim() + ".");
  }
  if (answer.ok) return value;
  const body = (value ?? {}) as Record<string, unknown>;
  const wait = answer.headers.get("Retry-After");
  const sentence = typeof body["detail"] === "string" ? body["detail"] : `The service answered ${answer.status}.`;
  throw new ApiProblem(answer.status, sentence, body, wait === null ? null : Number(wait));
}

// Leaves for the log-in page, and comes back after it.
export function toLogin(): void {
  const here = location.pathname.slice(ROOT.length) + location.search + location.hash;
  location.assign(page("/login", { next: here }));
}

export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = window.setTimeout(resolve, Math.max(50, milliseconds || 1000));
    signal?.addEventListener("abort", () => {
      window.clearTimeout(timer);
      reject(new DOMException("given up", "AbortError"));
    });
  });
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

// The sentence of whatever went wrong.
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// A key for a request that must not be carried out twice.
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing on plain HTTP
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
