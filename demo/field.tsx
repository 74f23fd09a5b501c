import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  readonly label: string;
  readonly hint: string;
  /** The control, which takes this id. */
  readonly children: (id: string) => ComponentChildren;
}

/** A control with its label and a hint. */
export function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label htmlFor={id}>
        {label}
        <span class="small muted">{hint}</span>
      </label>
      {children(id)}
    </div>
  );
}
