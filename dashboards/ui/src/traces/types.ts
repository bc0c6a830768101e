// What the server says of traces: its own search, and Jaeger's form of whole ones.

export interface FoundTrace {
  traceID: string;
  rootServiceName?: string;
  rootTraceName?: string;
  startTimeUnixNano: string;
  durationMs?: number;
  serviceStats?: Record<string, { spanCount?: number; errorCount?: number }>;
  undecided?: boolean;
}

export interface FacetEntry {
  value: string;
  count: number;
}

export interface SearchJson {
  traces: FoundTrace[];
  facets: {
    service: FacetEntry[];
    rootName: FacetEntry[];
    status: FacetEntry[];
    durationMs: { below: number; count: number }[];
  };
  costs: { traces: number; spans: number; bytes: number };
}

export interface TagJson {
  key: string;
  type: string;
  value: unknown;
}

export interface SpanJson {
  spanID: string;
  operationName: string;
  references: { refType: string; traceID: string; spanID: string }[];
  startTime: number; // Microseconds.
  duration: number; // Microseconds.
  processID: string;
  tags: TagJson[];
  logs: { timestamp: number; fields: TagJson[] }[];
}

export interface TraceJson {
  traceID: string;
  spans: SpanJson[];
  processes: Record<string, { serviceName: string; tags: TagJson[] }>;
  warnings?: string[] | null;
}
