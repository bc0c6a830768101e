import type { Tree } from "./tree";

/// Rows whose span has one of the words: in its id, operation, service or attributes.
export function hitsOf(tree: Tree, find: string): Uint32Array {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return new Uint32Array();
  const hits: number[] = [];
  tree.spans.forEach((span, row) => {
    const text = `${span.spanID} ${span.operationName} ${tree.services[row]} ${JSON.stringify(span.tags)}`.toLowerCase();
    if (words.some((word) => text.includes(word))) hits.push(row);
  });
  return Uint32Array.from(hits);
}
