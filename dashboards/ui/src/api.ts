// Requests to the server this page came from, in Prometheus' envelope.

import { boot } from "./boot";

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
}

export class ApiError extends Error {
  constructor(
    readonly type: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export type Parameters = Record<string, string | number | string[] | undefined>;

export function encode(parameters: Parameters): string {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) out.append(name, String(one));
  }
  return out.toString();
}

export function urlOf(path: string, parameters: Parameters = {}): string {
  const query = encode(parameters);
  return `${boot.prefix}/${path}${query ? `?${query}` : ""}`;
}

async function answerOf<T>(response: Response): Promise<Answer<T>> {
  const text = await response.text();
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch {
    const what = text.slice(0, 300) || response.statusText;
    throw new ApiError("http", `${response.status}: ${what}`, response.status);
  }
  if (!response.ok || body.status === "error") {
    throw new ApiError(
      String(body.errorType ?? "http"),
      String(body.error ?? body.message ?? `${response.status} ${response.statusText}`),
      response.status,
    );
  }
  return {
    data: body.data as T,
    warnings: (body.warnings as string[] | undefined) ?? [],
    infos: (body.infos as string[] | undefined) ?? [],
  };
}

async function reach(input: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(input, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("network", "The server does not answer. Is it running?", 0);
  }
}

export async function get<T>(
  path: string,
  parameters: Parameters = {},
  signal?: AbortSignal,
): Promise<Answer<T>> {
  return answerOf<T>(await reach(urlOf(path, parameters), { signal: signal ?? null }));
}

/// For queries, whose text may be longer than an address may.
export async function post<T>(
  path: string,
  parameters: Parameters,
  signal?: AbortSignal,
): Promise<Answer<T>> {
  return answerOf<T>(
    await reach(urlOf(path), {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: encode(parameters),
      signal: signal ?? null,
    }),
  );
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
