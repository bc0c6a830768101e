// What holds for all pages.

import { effect, signal } from "@preact/signals";

function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Forbidden storage forgets, nothing else.
  }
}

export type Theme = "auto" | "light" | "dark";

const kThemes: Theme[] = ["auto", "light", "dark"];
const wanted = stored("tarsier.theme") as Theme | null;
export const theme = signal<Theme>(wanted && kThemes.includes(wanted) ? wanted : "auto");
export const utc = signal(stored("tarsier.zone") !== "local");
/// Counts up when the reader asks for fresh data.
export const refreshes = signal(0);
/// Every how many seconds that happens by itself; 0 is never, -1 as the page is meant to be.
export const autoRefresh = signal(-1);
/// What the server tells as it changes.
export interface LiveNumbers {
  alertsFiring: number;
  alertsPending: number;
  alertsVersion: string;
  targetsUp: number;
  targetsDown: number;
}
export const live = signal<LiveNumbers | undefined>(undefined);
/// Whether the page shows what is now, and goes along with it.
export const isLivePage = signal(false);
const kLiveSeconds = 15;

export function nextTheme(): void {
  theme.value = kThemes[(kThemes.indexOf(theme.value) + 1) % kThemes.length] ?? "auto";
}

effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  store("tarsier.theme", theme.value);
});

effect(() => {
  store("tarsier.zone", utc.value ? "utc" : "local");
});

effect(() => {
  const every = autoRefresh.value >= 0 ? autoRefresh.value : isLivePage.value ? kLiveSeconds : 0;
  if (every === 0) return;
  const timer = setInterval(() => {
    if (!document.hidden) ++refreshes.value;
  }, every * 1000);
  return () => clearInterval(timer);
});
