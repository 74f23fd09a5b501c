import type { ComponentChildren } from "preact";
import { type ShownFault, shown } from "./fault.js";

/** Shows an error: what happened, where, and what to do; `children` are buttons with remedies. */
export function FaultView({ error, children }: { error: unknown; children?: ComponentChildren }) {
  return <FaultText fault={shown(error)}>{children}</FaultText>;
}

/** The same for an error that was converted already. */
export function FaultText({ fault, children }: { fault: ShownFault; children?: ComponentChildren }) {
  const { code, title, detail, remedy } = fault;
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
