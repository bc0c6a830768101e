// Fetches, parses and orders traces on a thread of its own: a hundred thousand spans are tens of
// megabytes. The page gets what it draws, and spans when somebody looks at them.

import { hitsOf } from "./find";
import { type Shape, type Tree, treeOf } from "./tree";
import type { SpanJson, TagJson, TraceJson } from "./types";

export type Request =
  | { id: number; open: string } // An address; the trace is known by the id of this request.
  | { id: number; of: number; row: number }
  | { id: number; of: number; find: string }
  | { id: number; close: number };

export interface SpanAnswer {
  span: SpanJson;
  process: TagJson[];
}

/// Texts that come again and again go once.
export interface Packed extends Omit<Shape, "names" | "services"> {
  texts: string[];
  nameAt: Uint32Array;
  serviceAt: Uint32Array;
}

export type Reply =
  | { id: number; shape: Packed }
  | { id: number; span: SpanAnswer }
  | { id: number; hits: Uint32Array }
  | { id: number; fault: { message: string; status: number } };

const open = new Map<number, { tree: Tree; trace: TraceJson }>();

addEventListener("message", (event: MessageEvent<Request>) => {
  const request = event.data;
  if ("close" in request) {
    open.delete(request.close);
    return;
  }
  if ("open" in request) {
    void opened(request.id, request.open).then(reply);
    return;
  }
  const held = open.get(request.of);
  const span = held && "row" in request ? held.tree.spans[request.row] : undefined;
  if (!held) reply({ id: request.id, fault: { message: "The trace is closed.", status: 0 } });
  else if (span) reply({ id: request.id, span: { span, process: held.trace.processes[span.processID]?.tags ?? [] } });
  else if ("find" in request) reply({ id: request.id, hits: hitsOf(held.tree, request.find) });
});

function reply(message: Reply): void {
  const buffers: Transferable[] = [];
  if ("shape" in message) {
    const { shape } = message;
    for (const value of Object.values(shape)) if (ArrayBuffer.isView(value)) buffers.push(value.buffer as ArrayBuffer);
  }
  postMessage(message, { transfer: buffers });
}

async function opened(id: number, url: string): Promise<Reply> {
  try {
    const response = await fetch(url);
    const body = (await response.json().catch(() => ({}))) as { data?: TraceJson[]; errors?: { msg: string }[] };
    const trace = body.data?.[0];
    if (!response.ok || !trace) {
      return { id, fault: { message: body.errors?.[0]?.msg ?? "There is no such trace.", status: response.status } };
    }
    const tree = treeOf(trace);
    open.set(id, { tree, trace });
    return { id, shape: packed(tree) };
  } catch {
    return { id, fault: { message: "The server does not answer. Is it running?", status: 0 } };
  }
}

function packed(tree: Tree): Packed {
  const places = new Map<string, number>();
  const placeOf = (text: string) => {
    const known = places.get(text);
    if (known !== undefined) return known;
    places.set(text, places.size);
    return places.size - 1;
  };
  const nameAt = Uint32Array.from(tree.names, placeOf);
  const serviceAt = Uint32Array.from(tree.services, placeOf);
  const { traceID, warnings, began, duration } = tree;
  return {
    traceID,
    warnings,
    began,
    duration,
    // Copies: these go away with the message.
    start: tree.start.slice(),
    end: tree.end.slice(),
    depth: tree.depth.slice(),
    size: tree.size.slice(),
    isError: tree.isError.slice(),
    isCritical: tree.isCritical.slice(),
    isOrphan: tree.isOrphan.slice(),
    texts: [...places.keys()],
    nameAt,
    serviceAt,
  };
}
