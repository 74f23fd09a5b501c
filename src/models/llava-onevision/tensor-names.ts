/**
 * Tensor names in checkpoints. lmms-lab, llava-hf and versions of transformers name the same tensors differently, and fine-tunes mix
 * these dialects, so the prefix of each part is detected independently.
 */

import { CheckpointError } from "../../base/errors.js";
import { foreignTensors } from "../../io/safetensors.js";

/** Prefixes of the parts of one checkpoint: `${language}.layers.0.input_layernorm.weight`, and so on. */
export interface Layout {
  /** Before `embed_tokens`, `layers.N` and `norm`. */
  readonly language: string;
  /** Prefix of the output head; undefined if it is tied to the embedding table. */
  readonly head: string | undefined;
  /** Before `embeddings` and `encoder.layers.N`. */
  readonly vision: string;
  /** The two linear layers, in order. */
  readonly projector: readonly [first: string, second: string];
  /** Full name of the newline vector. */
  readonly newline: string;
  /** Whether a tensor is known but not used for inference. */
  ignored(name: string): boolean;
}

/** A part of the model: the tensor that identifies its prefix, and the known prefixes. */
interface Part {
  readonly title: string;
  readonly suffix: string;
  readonly prefixes: readonly string[];
}

// Of llava-hf, lmms-lab, transformers 4.52 to 5; then of tools that strip or add "model.".
const LANGUAGE: Part = {
  title: "language model",
  suffix: ".embed_tokens.weight",
  prefixes: ["language_model.model", "model", "model.language_model", "model.language_model.model", "language_model"],
};

const HEAD: Part = {
  title: "output head",
  suffix: ".weight",
  prefixes: ["language_model.lm_head", "lm_head", "model.language_model.lm_head", "model.lm_head"],
};

const VISION: Part = {
  title: "vision tower",
  suffix: ".embeddings.patch_embedding.weight",
  prefixes: [
    "vision_tower.vision_model",
    "model.vision_tower.vision_tower.vision_model",
    "model.vision_tower.vision_model",
    "model.vision_tower",
    "vision_tower",
    "vision_tower.vision_tower.vision_model",
  ],
};

const PROJECTOR: Part = {
  title: "projector",
  suffix: ".weight",
  prefixes: [
    "multi_modal_projector.linear_1",
    "model.mm_projector.0",
    "model.multi_modal_projector.linear_1",
    "mm_projector.0",
  ],
};

const NEWLINE: Part = { title: "newline vector", suffix: "", prefixes: ["image_newline", "model.image_newline"] };

/**
 * Detects the prefix of each part from the tensor names (specification 2.1).
 * @param options.tied the output head is tied to the embedding table: a stored head is ignored.
 * @throws CheckpointError if a part is missing or ambiguous.
 */
export function resolveLayout(names: Iterable<string>, options: { tied?: boolean } = {}): Layout {
  const present = new Set(names);
  const missing: Part[] = [];
  const require = (part: Part): string => {
    const found = find(part, present);
    if (found === undefined) missing.push(part);
    return found ?? "";
  };
  const language = require(LANGUAGE);
  const vision = require(VISION);
  const projector = require(PROJECTOR);
  const newline = require(NEWLINE);
  if (missing.length > 0) throw notRecognised(missing, present);

  const storedHead = find(HEAD, present);
  const head = options.tied ? undefined : storedHead;
  const ignoredHead = options.tied && storedHead !== undefined ? `${storedHead}.` : undefined;
  return {
    language,
    head,
    vision,
    projector: [projector, projector.replace(/linear_1$/, "linear_2").replace(/\.0$/, ".2")],
    newline,
    ignored: (name) =>
      // Features are taken before the tower's last norm and pooling head; position ids and frequencies are computed.
      name.startsWith(`${vision}.post_layernorm.`) ||
      name.startsWith(`${vision}.head.`) ||
      name === `${vision}.embeddings.position_ids` ||
      name.endsWith(".rotary_emb.inv_freq") ||
      (ignoredHead !== undefined && name.startsWith(ignoredHead)),
  };
}

function find(part: Part, present: ReadonlySet<string>): string | undefined {
  const found = part.prefixes.filter((prefix) => present.has(prefix + part.suffix));
  if (found.length > 1) {
    throw new CheckpointError({
      where: `checkpoint: ${part.title}`,
      expected: "one name for it",
      got: found.map((prefix) => prefix + part.suffix).join(" and "),
      remedy: "remove the files of one of the two checkpoints from the folder",
    });
  }
  return found[0];
}

function notRecognised(missing: readonly Part[], present: ReadonlySet<string>): CheckpointError {
  const wanted = missing.map((part) => `${part.title} (${part.prefixes[0]}${part.suffix} or another known spelling)`);
  const foreign = foreignTensors(present);
  if (foreign)
    return new CheckpointError({ where: "checkpoint: tensor names", expected: wanted.join(", "), ...foreign });
  const some = [...present].sort().slice(0, 6);
  return new CheckpointError({
    where: "checkpoint: tensor names",
    expected: wanted.join(", "),
    got:
      present.size === 0 ? "no tensors" : `${present.size} tensors: ${some.join(", ")}${present.size > 6 ? ", …" : ""}`,
    remedy: "give a LLaVA-OneVision (Qwen2) checkpoint in the layout of llava-hf, lmms-lab or transformers",
  });
}

/**
 * Returns the checkpoint's name of a module that any dialect names (`model.language_model.layers.0.mlp.up_proj`), undefined if no dialect
 * does.
 */
export function moduleOf(path: string, layout: Layout): string | undefined {
  const after = (part: Part): string | undefined => {
    // The longest prefix: `model` is one of them.
    const prefixes = part.prefixes.toSorted((a, b) => b.length - a.length);
    const prefix = prefixes.find((prefix) => path === prefix || path.startsWith(`${prefix}.`));
    return prefix === undefined ? undefined : path.slice(prefix.length);
  };
  const isHead = HEAD.prefixes.includes(path);
  if (isHead) return layout.head;
  const second = /(?:^|\.)(?:linear_2|mm_projector\.2)$/.test(path);
  if (second || after(PROJECTOR) === "") return layout.projector[second ? 1 : 0];
  const vision = after(VISION);
  if (vision !== undefined && /^\.(encoder\.layers\.\d+|embeddings)\./.test(vision)) return layout.vision + vision;
  const language = after(LANGUAGE);
  if (language !== undefined && /^\.(layers\.\d+\.|embed_tokens$|norm$)/.test(language))
    return layout.language + language;
  return undefined;
}
