// The address is the state: every page can be rebuilt from it, and Back goes back.

import { signal } from "@preact/signals";
import { boot } from "./boot";

export interface Place {
  path: string; // Below the prefix, beginning with a slash.
  search: URLSearchParams;
}

function here(): Place {
  const path = location.pathname.startsWith(boot.prefix)
    ? location.pathname.slice(boot.prefix.length)
    : location.pathname;
  return { path: path || "/", search: new URLSearchParams(location.search) };
}

export const place = signal<Place>(here());

addEventListener("popstate", () => {
  place.value = here();
});

export function hrefOf(path: string, search?: URLSearchParams): string {
  const query = search?.toString();
  return `${boot.prefix}${path}${query ? `?${query}` : ""}`;
}

export function go(path: string, search?: URLSearchParams, replace = false): void {
  const href = hrefOf(path, search);
  if (href === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  const moved = path !== place.value.path;
  place.value = here();
  if (moved) scrollTo(0, 0);
}

/// Changes parameters of the page one is on; empty values go.
export function setParameters(changes: Record<string, string>, replace = true): void {
  const search = new URLSearchParams(place.value.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") search.delete(name);
    else search.set(name, value);
  }
  go(place.value.path, search, replace);
}

/// Links inside the UI change the page without loading it anew.
addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest?.("a[data-inside]");
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  const url = new URL(link.href);
  go(url.pathname.slice(boot.prefix.length), url.searchParams);
});
