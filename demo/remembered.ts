// What this browser remembers of the page. Where storage is denied or full, it lasts as long as the page.

/** The text under a name; null if there is none. */
export function recall(key: string, area: "localStorage" | "sessionStorage" = "localStorage"): string | null {
  try {
    return globalThis[area].getItem(key);
  } catch {
    return null;
  }
}

/** Keeps a text under a name, where that is allowed. */
export function keep(key: string, value: string, area: "localStorage" | "sessionStorage" = "localStorage"): void {
  try {
    globalThis[area].setItem(key, value);
  } catch {
    // A convenience only.
  }
}
