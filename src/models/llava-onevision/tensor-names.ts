/**
 * The names tensors have on disk. lmms-lab, llava-hf and several versions of transformers spell the same model differently, and
 * fine-tunes mix them, so every part's prefix is found by itself.
 */

import { foreignTensors } from "../../io/foreign-tensors.js";
import { CheckpointError } from "../../runtime/errors.js";

/** Prefixes of the parts of one checkpoint: `${language}.layers.0.input_layernorm.weight`, and so on. */
export interface Layout {
  /** Before `embed_tokens`, `layers.N` and `norm`. */
  readonly language: string;
  /** Of the output matrix; undefined where the embedding table serves as one. */
  readonly head: string | undefined;
  /** Before `embeddings` and `encoder.layers.N`. */
  readonly vision: string;
  /** The two linear layers, in order. */
  readonly projector: readonly [first: string, second: string];
  /** The whole name of the newline vector. */
  readonly newline: string;
  /** True for tensors that checkpoints carry and inference does not read. */
  ignored(name: string): boolean;
}

/** One part: the tensor that shows where it is, and the prefixes known. */
interface Part {
  readonly title: string;
  readonly suffix: string;
  readonly prefixes: readonly string[];
}

// From llava-hf, lmms-lab and transformers 4.52 to 5 in turn; then what is left of one when a tool strips or adds "model.".
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
 * Finds the parts among the tensor names (specification 2.1).
 * @param options.tied the config says that the embedding table is the output matrix: a head that is stored all the same is ignored.
 * @throws CheckpointError if a part is missing or there are two of it.
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
      // The features are taken before the tower's last norm and its pooling head; positions and frequencies are computed.
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
