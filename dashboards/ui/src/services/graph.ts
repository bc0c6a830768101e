// Where services stand in the picture of who calls whom: callers left of those they call.

export interface Edge {
  client: string;
  server: string;
  kind: string; // "", "database", "messaging_system", "virtual_node"
  rate: number; // Calls per second.
  failed: number; // Of them, per second.
}

export interface Placed {
  name: string;
  column: number;
  row: number;
}

/// Callers first. Circles are cut where they are met again.
export function placesOf(edges: Edge[]): Placed[] {
  const names = [...new Set(edges.flatMap((edge) => [edge.client, edge.server]))].sort();
  const callers = new Map(names.map((name) => [name, new Set<string>()]));
  for (const edge of edges) if (edge.client !== edge.server) callers.get(edge.server)?.add(edge.client);
  const columns = new Map<string, number>();
  const columnOf = (name: string, path: Set<string>): number => {
    const known = columns.get(name);
    if (known !== undefined) return known;
    path.add(name);
    let column = 0;
    for (const caller of callers.get(name) ?? []) {
      if (!path.has(caller)) column = Math.max(column, columnOf(caller, path) + 1);
    }
    path.delete(name);
    columns.set(name, column);
    return column;
  };
  const rows = new Map<number, number>();
  return names
    .map((name) => ({ name, column: columnOf(name, new Set()) }))
    .sort((a, b) => a.column - b.column || (a.name < b.name ? -1 : 1))
    .map(({ name, column }) => {
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      return { name, column, row };
    });
}
