import type { ComponentChildren } from "preact";
import { type ShownFault, shown } from "./fault.js";

/** Shows an error: what to do first, its details folded; `children` are buttons with remedies. */
export function FaultView({ error, children }: { error: unknown; children?: ComponentChildren }) {
  return <FaultText fault={shown(error)}>{children}</FaultText>;
}

/** The same for an error that was converted already. */
export function FaultText({ fault, children }: { fault: ShownFault; children?: ComponentChildren }) {
  const { code, title, detail, remedy, file } = fault;
  return (
    <div class="fault stack" role="alert" data-code={code}>
      <p>
        <strong>{file === undefined ? title : `${title}: ${file}`}.</strong> {remedy}
      </p>
      {detail !== undefined && remedy !== undefined ? (
        <details class="small">
          <summary>Details</summary>
          {detail}
        </details>
      ) : (
        <p class="small">{detail}</p>
      )}
      {children && <div class="row">{children}</div>}
    </div>
  );
}
