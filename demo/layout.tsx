import { Gauge, MessageCircle, Monitor, Moon, Sun } from "lucide";
import type { ComponentChildren } from "preact";
import { Icon } from "./icon.js";
import { nextTheme, theme } from "./theme.js";

const PAGES = [
  { name: "talk", href: "index.html", label: "Talk", icon: MessageCircle },
  { name: "bench", href: "bench.html", label: "Bench", icon: Gauge },
] as const;
const THEMES = { auto: Monitor, light: Sun, dark: Moon } as const;

/** The bar at the top of both pages; `children` are at its right. */
export function TopBar({ current, children }: { current: "talk" | "bench"; children?: ComponentChildren }) {
  return (
    <header class="bar">
      <span class="brand">
        <img src="./icon.svg" alt="" width="24" height="24" />
        Ocellus
      </span>
      <nav aria-label="Pages">
        {PAGES.map(({ name, href, label, icon }) => (
          <a key={name} href={href} aria-current={name === current ? "page" : undefined}>
            <Icon of={icon} size={16} />
            {label}
          </a>
        ))}
      </nav>
      <span class="space" />
      {children}
      <button type="button" class="quiet" onClick={nextTheme} title={`Theme: ${theme.value}`}>
        <Icon of={THEMES[theme.value]} />
        <span class="sr-only">{`Theme: ${theme.value}`}</span>
      </button>
    </header>
  );
}
