import { effect, signal } from "@preact/signals";
import { keep, recall } from "./remembered.js";

const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "ocellus theme";

/** "auto" follows the system. */
export const theme = signal<Theme>(THEMES.find((name) => name === recall(KEY)) ?? "auto");

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
}

effect(() => {
  keep(KEY, theme.value);
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
