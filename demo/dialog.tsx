import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

/** A modal dialog: the browser traps the focus in it; Escape closes it, and where the browser knows `closedby` a click outside. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    dialog.current!.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={onClose} {...{ closedby: "any" }}>
      <div class="stack">
        <div class="row">
          <h2 id={heading}>{title}</h2>
          <span class="space" />
          <button type="button" onClick={() => dialog.current!.close()}>
            Close
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
