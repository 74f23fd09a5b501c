import type { ComponentChildren } from "preact";
import { nextTheme, theme } from "./theme.js";

const PAGES = [
  { name: "talk", href: "index.html", label: "Talk" },
  { name: "bench", href: "bench.html", label: "Bench" },
] as const;

/** The bar at the top of both pages; `children` are at its right. */
export function TopBar({ current, children }: { current: "talk" | "bench"; children?: ComponentChildren }) {
  return (
    <header class="bar">
      <span class="brand">Ocellus</span>
      <nav aria-label="Pages">
        {PAGES.map(({ name, href, label }) => (
          <a key={name} href={href} aria-current={name === current ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <span class="space" />
      {children}
      <button type="button" class="quiet" onClick={nextTheme}>
        {`Theme: ${theme.value}`}
      </button>
    </header>
  );
}
