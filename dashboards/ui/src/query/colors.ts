// A series keeps its colour, whatever else is drawn: it comes from its labels.

const kHues = 18;

function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; ++i) {
    h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  }
  return h >>> 0;
}

/// Colours of series by their texts: each its own hue while there are some left.
export function colorsOf(series: string[], dark: boolean): string[] {
  const taken = new Set<number>();
  return series.map((text) => {
    let slot = hash(text) % kHues;
    if (taken.size < kHues) while (taken.has(slot)) slot = (slot + 7) % kHues;
    taken.add(slot);
    const hue = (slot * 360) / kHues;
    return dark ? `hsl(${hue} 70% 65%)` : `hsl(${hue} 75% 38%)`;
  });
}
