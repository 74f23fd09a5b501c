import { batch, effect, signal } from "@preact/signals";
import type { Measurement } from "ocellus";
import { isCode } from "../fault.js";
import { ask, busy, currentSession, history } from "./conversation.js";
import { type Attachment, attachmentOf, inOrder, partOf } from "./media.js";
import { model, opening } from "./model.js";

/** Text, pictures and clips of the question that is being written. */
export const text = signal("");
export const attachments = signal<readonly Attachment[]>([]);
/** Names of files that are neither picture nor clip. */
export const refused = signal<readonly string[]>([]);
/** Tokens and tiles of the draft; undefined while they are measured. */
export const measurement = signal<Measurement | undefined>(undefined);
export const fault = signal<unknown>(undefined);
/** Whether the question is sent as soon as the model is ready. */
export const queued = signal(false);

export function attach(files: Iterable<File>, frames?: number): void {
  const all = [...files].map((file) => ({ file, attachment: attachmentOf(file, frames) }));
  batch(() => {
    attachments.value = [...attachments.value, ...all.flatMap(({ attachment }) => attachment ?? [])];
    refused.value = all.filter(({ attachment }) => !attachment).map(({ file }) => file.name);
  });
}

export function detach(id: number): void {
  const [gone] = attachments.value.filter((attachment) => attachment.id === id);
  attachments.value = attachments.value.filter((attachment) => attachment.id !== id);
  if (gone) URL.revokeObjectURL(gone.url);
}

/** Asks the question; while the model is being loaded, as soon as it is ready. */
export function send(): void {
  const question = text.value.trim();
  if (busy.value || (question === "" && attachments.value.length === 0)) return;
  if (!model.value) {
    queued.value = opening.value;
    return;
  }
  const media = attachments.value;
  batch(() => {
    queued.value = false;
    text.value = "";
    attachments.value = [];
    refused.value = [];
    measurement.value = undefined;
    fault.value = undefined;
  });
  void ask(question, media);
}

effect(() => {
  if (model.value && queued.value) queueMicrotask(send);
});
// A load that ends without a model has nothing to wait for.
effect(() => {
  if (!model.value && !opening.value) queued.value = false;
});

/** Time without changes before a draft is measured. */
const QUIET_MS = 200;

// The worker cuts pictures and reads clips, so that tiles, frames and tokens are shown before the question is sent.
effect(() => {
  const loaded = model.value;
  const media = attachments.value;
  const question = text.value.trim();
  const parts = [...media.map(partOf), ...(question === "" ? [] : [{ type: "text" as const, text: question }])];
  if (!loaded || parts.length === 0 || busy.value) {
    measurement.value = undefined;
    fault.value = undefined;
    return;
  }
  const controller = new AbortController();
  const { signal } = controller;
  const measure = async (): Promise<void> => {
    const session = currentSession();
    if (!session) return;
    try {
      const measured = await session.measure([...history(), { role: "user", content: parts }], { signal });
      if (signal.aborted) return;
      batch(() => {
        measurement.value = measured;
        fault.value = undefined;
        const own = measured.media.slice(-media.length);
        for (const [i, attachment] of media.entries()) attachment.measured.value = inOrder(own, media, i);
      });
    } catch (error) {
      if (!signal.aborted && !isCode(error, "ABORTED", "DISPOSED")) fault.value = error;
    }
  };
  const timer = setTimeout(measure, QUIET_MS);
  return () => {
    clearTimeout(timer);
    controller.abort();
  };
});
