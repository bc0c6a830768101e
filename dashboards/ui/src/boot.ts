// What the server says of itself in the page; while developing there is none, and defaults hold.

export interface Boot {
  prefix: string;
  title: string;
  version: string;
  lookbackDelta: string;
  nonce: string;
}

function read(): Boot {
  const defaults: Boot = {
    prefix: "",
    title: "Tarsier",
    version: "",
    lookbackDelta: "5m",
    nonce: "",
  };
  const text = document.getElementById("boot")?.textContent?.trim();
  return text ? { ...defaults, ...(JSON.parse(text) as Partial<Boot>) } : defaults;
}

export const boot = read();
