import type { ComponentChildren } from "preact";
import { shown } from "./fault.js";

/** An error in words: what happened, where, and what to do; `children` are what can be done here. */
export function FaultView({ error, children }: { error: unknown; children?: ComponentChildren }) {
  const { code, title, detail, remedy } = shown(error);
  return (
    <div class="fault stack" role="alert" data-code={code}>
      <p>
        <strong>{title}.</strong> {remedy}
      </p>
      <p class="small muted">{detail}</p>
      {children && <div class="row">{children}</div>}
    </div>
  );
}
