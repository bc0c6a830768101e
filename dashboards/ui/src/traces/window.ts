// Which traces a graph is about: read from its series' labels and its query's matchers.

import type { Labels } from "../format";

export interface Meant {
  services: string[];
  name: string;
  errors: boolean;
}

const kServiceLabels = ["service", "service_name", "job", "sloth_service"];

function only(values: (string | undefined)[]): string {
  const known = new Set(values.filter(Boolean));
  return known.size === 1 ? ([...known][0] ?? "") : "";
}

/// `services` are candidates: labels like `job` may name what never sent a span.
export function meantBy(expr: string, series: Labels[]): Meant {
  const services = new Set<string>();
  for (const label of kServiceLabels) {
    for (const labels of series) if (labels[label]) services.add(labels[label] ?? "");
    const matcher = new RegExp(`\\b${label}\\s*=\\s*"((?:[^"\\\\]|\\\\.)*)"`, "g");
    for (const match of expr.matchAll(matcher)) {
      try {
        services.add(JSON.parse(`"${match[1] ?? ""}"`) as string);
      } catch {
        // PromQL's own escapes: no name of a service.
      }
    }
    if (services.size > 0) break;
  }
  const spanName = /\bspan_name\s*=\s*"((?:[^"\\]|\\.)*)"/.exec(expr)?.[1];
  return {
    services: [...services].slice(0, 20),
    name: spanName ?? only(series.map((labels) => labels.span_name)),
    errors: /STATUS_CODE_ERROR|code=~?"5|status=~?"5|error/i.test(expr),
  };
}

/// The same as TraceQL; errors are not asked for, slow ones may explain as much.
export function traceQueryOf(meant: Meant): string {
  const parts = [];
  const [first] = meant.services;
  if (meant.services.length === 1) parts.push(`resource.service.name = ${JSON.stringify(first)}`);
  else if (meant.services.length > 1) {
    parts.push(`(${meant.services.map((one) => `resource.service.name = ${JSON.stringify(one)}`).join(" || ")})`);
  }
  if (meant.name) parts.push(`name = ${JSON.stringify(meant.name)}`);
  return parts.length === 0 ? "{}" : `{ ${parts.join(" && ")} }`;
}
