// The page's side of the thread that holds traces.

import { ApiError, urlOf } from "../api";
import type { Shape } from "./tree";
import type { Packed, Reply, Request, SpanAnswer } from "./trace_worker";

/// A trace that is open: what it is drawn of, and its spans on demand.
export interface OpenTrace {
  shape: Shape;
  spanAt: (row: number) => Promise<SpanAnswer>;
  find: (words: string) => Promise<Uint32Array>;
  close: () => void;
}

type Body = Request extends infer One ? (One extends { id: number } ? Omit<One, "id"> : never) : never;

let worker: Worker | undefined;
let last = 0;
const waiting = new Map<number, (reply: Reply) => void>();

function theWorker(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL("./trace_worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", (event: MessageEvent<Reply>) => {
    waiting.get(event.data.id)?.(event.data);
    waiting.delete(event.data.id);
  });
  worker.addEventListener("error", () => {
    for (const [id, resolve] of waiting) resolve({ id, fault: { message: "The trace could not be read.", status: 0 } });
    waiting.clear();
    worker = undefined;
  });
  return worker;
}

function ask(body: Body): { id: number; reply: Promise<Reply> } {
  const id = ++last;
  const own = theWorker();
  const reply = new Promise<Reply>((resolve) => waiting.set(id, resolve));
  own.postMessage({ ...body, id } as Request);
  return { id, reply };
}

function faultOf(reply: Reply): ApiError {
  const fault = "fault" in reply ? reply.fault : { message: "The answer is another one.", status: 0 };
  return new ApiError(fault.status === 0 ? "network" : "trace", fault.message, fault.status);
}

function unpacked(shape: Packed): Shape {
  const { texts, nameAt, serviceAt, ...rest } = shape;
  return {
    ...rest,
    names: Array.from(nameAt, (at) => texts[at] ?? ""),
    services: Array.from(serviceAt, (at) => texts[at] ?? ""),
  };
}

export async function fetchTrace(traceId: string): Promise<OpenTrace> {
  const url = new URL(urlOf(`jaeger/api/traces/${traceId}`), location.href).href;
  const { id: of, reply } = ask({ open: url });
  const opened = await reply;
  if (!("shape" in opened)) throw faultOf(opened);
  return {
    shape: unpacked(opened.shape),
    spanAt: async (row) => {
      const answer = await ask({ of, row }).reply;
      if ("span" in answer) return answer.span;
      throw faultOf(answer);
    },
    find: async (find) => {
      const answer = await ask({ of, find }).reply;
      return "hits" in answer ? answer.hits : new Uint32Array();
    },
    close: () => void theWorker().postMessage({ id: ++last, close: of }),
  };
}
