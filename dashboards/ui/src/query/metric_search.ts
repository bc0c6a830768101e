// Finding metrics by parts of their names.

export interface Meta {
  type: string;
  help: string;
  unit: string;
}

/// Whether the letters of `wanted` come in this order; the closer together, the higher. 0: no.
export function fuzzyScore(text: string, wanted: string): number {
  if (wanted === "") return 1;
  const low = text.toLowerCase();
  const at = low.indexOf(wanted);
  if (at >= 0) return 1000 - at - text.length / 100;
  let from = 0;
  let first = -1;
  for (const letter of wanted) {
    const found = low.indexOf(letter, from);
    if (found < 0) return 0;
    if (first < 0) first = found;
    from = found + 1;
  }
  return 500 / (from - first);
}

/// Metadata stands under the family's name.
export function metaOf(all: Record<string, Meta[]>, name: string): Meta | undefined {
  return (all[name] ?? all[name.replace(/_(count|sum|bucket|total|created|info)$/, "")])?.[0];
}
