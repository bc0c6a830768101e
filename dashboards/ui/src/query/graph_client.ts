// The page's side of the thread that asks for graphs.

import { type Answer, ApiError } from "../api";
import type { GraphAnswer, GraphData, GraphQuestion } from "./graph_data";

interface Waiting {
  resolve: (answer: Answer<GraphData>) => void;
  reject: (problem: unknown) => void;
}

let worker: Worker | undefined;
let last = 0;
const waiting = new Map<number, Waiting>();

function theWorker(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL("./graph_worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", (event: MessageEvent<{ id: number; answer: GraphAnswer | undefined }>) => {
    const { id, answer } = event.data;
    const one = waiting.get(id);
    waiting.delete(id);
    if (!one || !answer) return;
    if ("fault" in answer) one.reject(new ApiError(answer.fault.type, answer.fault.message, answer.fault.status));
    else one.resolve(answer);
  });
  worker.addEventListener("error", () => {
    for (const one of waiting.values()) one.reject(new ApiError("internal", "The answer could not be read.", 0));
    waiting.clear();
    worker = undefined;
  });
  return worker;
}

/// Giving up by the signal closes the connection, which stops the query.
export function askGraph(question: GraphQuestion, signal: AbortSignal): Promise<Answer<GraphData>> {
  const id = ++last;
  const own = theWorker();
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    signal.addEventListener("abort", () => {
      waiting.delete(id);
      own.postMessage({ id });
      reject(new DOMException("given up", "AbortError"));
    });
    own.postMessage({ id, question });
  });
}
