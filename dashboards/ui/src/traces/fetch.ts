import { ApiError, urlOf } from "../api";
import type { TraceJson } from "./types";

export async function fetchTrace(id: string, signal: AbortSignal): Promise<TraceJson> {
  const response = await fetch(urlOf(`jaeger/api/traces/${id}`), { signal });
  const body = (await response.json().catch(() => ({}))) as {
    data?: TraceJson[];
    errors?: { msg: string }[];
  };
  const trace = body.data?.[0];
  if (!response.ok || !trace) {
    throw new ApiError("trace", body.errors?.[0]?.msg ?? "There is no such trace.", response.status);
  }
  return trace;
}
