import { useEffect, useState } from "preact/hooks";
import { type Answer, ApiError, get, isAbort, type Parameters } from "../api";
import { refreshes } from "../state";

export interface Loaded<T> {
  answer: Answer<T> | undefined; // The last one stays while the next is on its way.
  error: ApiError | undefined;
  loading: boolean;
  at: number; // When it arrived, milliseconds.
}

/// What the API says; asked anew when the parameters change or the reader refreshes.
export function useAnswer<T>(path: string, parameters: Parameters = {}): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({
    answer: undefined,
    error: undefined,
    loading: true,
    at: 0,
  });
  const key = JSON.stringify(parameters);
  useEffect(() => {
    const abort = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    get<T>(path, parameters, abort.signal).then(
      (answer) => setState({ answer, error: undefined, loading: false, at: Date.now() }),
      (error: unknown) => {
        if (isAbort(error)) return;
        const told = error instanceof ApiError ? error : new ApiError("internal", String(error), 0);
        setState((before) => ({ ...before, error: told, loading: false }));
      },
    );
    return () => abort.abort();
  }, [path, key, refreshes.value]);
  return state;
}
