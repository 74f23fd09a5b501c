import { batch, computed, effect, signal } from "@preact/signals";
import type { Measurement } from "ocellus";
import { isCode, type ShownFault, shown } from "../fault.js";
import { ask, busy, currentSession, history, messageOf, named, turns, usedTokens } from "./conversation.js";
import { type Attachment, attachmentOf, during, inOrder, pending } from "./media.js";
import { model, opening } from "./model.js";
import { schema, settings } from "./settings.js";

/** Text, pictures and clips of the question that is being written. */
export const text = signal("");
export const attachments = signal<readonly Attachment[]>([]);
/** Names of files that are neither picture nor clip. */
export const refused = signal<readonly string[]>([]);
/** Tokens and tiles of the draft; undefined while they are measured. */
export const measurement = signal<Measurement | undefined>(undefined);
/** Why the draft cannot be asked: a picture or clip that is not read, named by its file. */
export const fault = signal<ShownFault | undefined>(undefined);
/** Whether what is written now was measured, or can't be. */
const isMeasured = signal(false);
/** Whether the question is sent as soon as the model is ready and has measured it. */
export const queued = signal(false);

const isEmpty = computed(() => text.value.trim() === "" && attachments.value.length === 0);
/** Tokens that the question is over the context. */
export const overTokens = computed(() => {
  const { promptTokens, contextTokens } = measurement.value ?? { promptTokens: 0, contextTokens: 1 };
  return Math.max(0, promptTokens + 1 - contextTokens);
});
/** Whether the question can be sent, now or as soon as the model is ready. */
export const canSend = computed(
  () =>
    !isEmpty.value &&
    !busy.value &&
    overTokens.value === 0 &&
    fault.value === undefined &&
    schema.value.fault === undefined &&
    (model.value !== undefined || opening.value),
);

/** Whether the question was sent while a file was read or a mark was drawn. */
let isSent = false;

/** Adds pictures and clips to the question; clips are sampled at `frames` moments. */
export function attach(files: Iterable<File>, frames = settings.value.frames): Promise<void> {
  return during(add([...files], frames));
}

async function add(files: readonly File[], frames: number): Promise<void> {
  const all = await Promise.all(files.map(async (file) => ({ file, attachment: await attachmentOf(file, frames) })));
  batch(() => {
    attachments.value = [...attachments.value, ...all.flatMap(({ attachment }) => attachment ?? [])];
    refused.value = all.filter(({ attachment }) => !attachment).map(({ file }) => file.name);
  });
}

export function detach(id: string): void {
  const [gone] = attachments.value.filter((attachment) => attachment.id === id);
  attachments.value = attachments.value.filter((attachment) => attachment.id !== id);
  if (gone) URL.revokeObjectURL(gone.url.value);
}

/** Moves an attachment to the place of another one. */
export function move(id: string, to: number): void {
  const own = attachments.value.find((attachment) => attachment.id === id);
  if (!own || to < 0 || to >= attachments.value.length) return;
  const others = attachments.value.filter((attachment) => attachment !== own);
  attachments.value = [...others.slice(0, to), own, ...others.slice(to)];
}

/** Asks the question as soon as the model is ready and has measured it: what is wrong with it is said before it is sent. */
export function send(): void {
  isSent = pending.value > 0;
  if (isSent) return;
  if (!canSend.value) return;
  if (!model.value || !(isMeasured.value || surelyFits())) {
    queued.value = true;
    return;
  }
  const question = text.value.trim();
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

/** Does not send a question that waits. */
export function cancelSend(): void {
  isSent = false;
  queued.value = false;
}

/** What a chat template puts around a question takes fewer tokens. */
const TEMPLATE_TOKENS = 64;

/** Whether the text fits for certain, also without being measured: a token has at least a byte. Media that are not measured are not waited for. */
function surelyFits(): boolean {
  const { contextTokens } = model.value!;
  const { byteLength } = new TextEncoder().encode(settings.value.system + text.value);
  let most = (usedTokens.value ?? 0) + TEMPLATE_TOKENS + byteLength;
  for (const { measured } of attachments.value) most += measured.value?.tokens ?? 0;
  return most < contextTokens;
}

effect(() => {
  if (pending.value === 0 && isSent) queueMicrotask(send);
});
effect(() => {
  if (!queued.value || !model.value) return;
  if (fault.value !== undefined || overTokens.value > 0) queued.value = false;
  else if (isMeasured.value) queueMicrotask(send);
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
  const message = messageOf(text.value.trim(), media);
  const { imageMode } = settings.value;
  const quietMs = queued.value ? 0 : QUIET_MS;
  fault.value = undefined;
  isMeasured.value = false;
  if (!loaded || isEmpty.value || busy.value) {
    measurement.value = undefined;
    return;
  }
  const controller = new AbortController();
  const { signal } = controller;
  const measure = async (): Promise<void> => {
    const session = currentSession();
    if (!session) return;
    try {
      const measured = await session.measure([...history(), message], { signal, imageMode });
      if (signal.aborted) return;
      batch(() => {
        isMeasured.value = true;
        measurement.value = measured;
        const own = measured.media.slice(-media.length);
        for (const [i, attachment] of media.entries()) attachment.measured.value = inOrder(own, media, i);
      });
    } catch (error) {
      if (signal.aborted || isCode(error, "ABORTED", "DISPOSED")) return;
      batch(() => {
        isMeasured.value = true;
        measurement.value = undefined;
        fault.value = named(shown(error), [...turns.value.flatMap((turn) => turn.media), ...media]);
      });
    }
  };
  const timer = setTimeout(measure, quietMs);
  return () => {
    clearTimeout(timer);
    controller.abort();
  };
});
