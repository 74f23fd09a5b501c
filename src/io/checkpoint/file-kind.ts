/** Identifies files that are not part of a supported checkpoint, from their first bytes or names. */

/** A kind of file, and the remedy if it is found instead of a checkpoint file. */
export interface FileKind {
  /** For "got": with an article. */
  readonly is: string;
  readonly remedy: string;
}

/** Bytes needed to identify a file; a tar archive has its signature at byte 257. */
export const HEAD_BYTES = 512;
/** Minimum number of zeros of an unfinished download. */
const LEAST_ZEROS = 64;
/** A published checkpoint of the family. */
export const EXAMPLE_ID = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf";

const PUBLISHED = `use the safetensors checkpoint that the model is published as, for example ${EXAMPLE_ID}`;
const RESAVE =
  "load it with the library that wrote it and save it as safetensors (transformers: save_pretrained with safe_serialization=True), or download the safetensors files";
const UNPACK = "unpack it, and give the folder that holds config.json and model.safetensors";
const AGAIN = "download the file again";
const PAGE =
  "the server answered with a page (a login, a viewer or an error) in place of the file; check the address and sign in, then download it again";

const LFS: FileKind = {
  is: "a Git LFS pointer, a note of where the file lies in place of the file",
  remedy: "run `git lfs install` and `git lfs pull` in the cloned repository, or download the file itself",
};
const ANNEX: FileKind = {
  is: "a git-annex pointer in place of the file",
  remedy: "run `git annex get` in the cloned repository, or download the file itself",
};
const LINK: FileKind = {
  is: "the text of a link into the Hugging Face cache in place of the file",
  remedy: "copy the cache folder with its links followed (`cp -rL`), or download the checkpoint again",
};
const GGUF: FileKind = { is: "a GGUF file (llama.cpp)", remedy: PUBLISHED };
const GGML: FileKind = { is: "a GGML file (old llama.cpp or whisper.cpp)", remedy: PUBLISHED };
const ONNX: FileKind = { is: "an ONNX model", remedy: PUBLISHED };
const TFLITE: FileKind = { is: "a TensorFlow Lite model", remedy: PUBLISHED };
const SAVED_MODEL: FileKind = { is: "a TensorFlow SavedModel", remedy: PUBLISHED };
const HDF5: FileKind = { is: "an HDF5 file (Keras or TensorFlow weights)", remedy: RESAVE };
const MSGPACK: FileKind = { is: "Flax weights (msgpack)", remedy: RESAVE };
const PICKLE: FileKind = { is: "a pickle file (PyTorch weights)", remedy: RESAVE };
const TORCH_ZIP: FileKind = { is: "PyTorch weights (a ZIP archive with a pickle file)", remedy: RESAVE };
const NPZ: FileKind = { is: "NumPy arrays (.npz)", remedy: RESAVE };
const NPY: FileKind = { is: "a NumPy array (.npy)", remedy: RESAVE };
const KERAS: FileKind = { is: "a Keras model", remedy: RESAVE };
export const SAFETENSORS: FileKind = {
  is: "a safetensors file",
  remedy: "give every file under its own name: weights as model.safetensors, texts as .json",
};
const EMPTY: FileKind = { is: "an empty file", remedy: AGAIN };
const HTML: FileKind = { is: "a web page (HTML)", remedy: PAGE };

const archive = (name: string): FileKind => ({ is: `a ${name} archive`, remedy: UNPACK });

/** Signatures at fixed offsets; a character is a byte. */
const MAGIC: readonly (readonly [at: number, mark: string, kind: FileKind])[] = [
  [0, "GGUF", GGUF],
  ...["ggml", "lmgg", "ggjt", "tjgg", "ggmf", "fmgg", "ggla", "algg"].map((mark) => [0, mark, GGML] as const),
  [4, "TFL3", TFLITE],
  [0, "\x89HDF\r\n\x1a\n", HDF5],
  [0, "\x93NUMPY", NPY],
  [0, "\x1f\x8b", archive("gzip")],
  [0, "BZh", archive("bzip2")],
  [0, "\xfd7zXZ\0", archive("xz")],
  [0, "\x28\xb5\x2f\xfd", archive("Zstandard")],
  [0, "\x04\x22\x4d\x18", archive("LZ4")],
  [0, "7z\xbc\xaf\x27\x1c", archive("7-Zip")],
  [0, "Rar!", archive("RAR")],
  [257, "ustar", archive("tar")],
  [0, "%PDF", { is: "a PDF document", remedy: AGAIN }],
  [0, "\x89PNG\r\n", { is: "a PNG picture", remedy: "give pictures as pictures, and the model's folder as model" }],
  [0, "\xff\xd8\xff", { is: "a JPEG picture", remedy: "give pictures as pictures, and the model's folder as model" }],
  [4, "ftyp", { is: "an MP4 clip or a picture", remedy: "give clips as clips, and the model's folder as model" }],
];

/** Kinds by name, where contents would have to be downloaded. */
const NAMES: readonly (readonly [name: RegExp, kind: FileKind])[] = [
  [/\.gguf$/i, GGUF],
  [/(^|\/)ggml[^/]*\.bin$|\.ggml$/i, GGML],
  [/\.onnx(_data|\.data)?$/i, ONNX],
  [/\.tflite$|\.task$/i, TFLITE],
  [/(^|\/)openvino[^/]*\.(xml|bin)$/i, { is: "an OpenVINO model", remedy: PUBLISHED }],
  [/\.(mlpackage|mlmodelc?)$/i, { is: "a Core ML model", remedy: PUBLISHED }],
  [
    /(^|\/)(mlc-chat-config|ndarray-cache)\.json$|(^|\/)params_shard_\d+\.bin$/i,
    { is: "an MLC model", remedy: PUBLISHED },
  ],
  [/\.(engine|plan)$/i, { is: "a TensorRT engine", remedy: PUBLISHED }],
  [/(^|\/)saved_model\.pb$/i, SAVED_MODEL],
  [/\.(h5|hdf5)$/i, HDF5],
  [/\.keras$/i, KERAS],
  [/\.msgpack$/i, MSGPACK],
  [/\.npz$/i, NPZ],
  [/\.npy$/i, NPY],
  [/\.nemo$/i, { is: "a NeMo archive", remedy: PUBLISHED }],
  [/\.(bin|pt|pth|ckpt|pkl|pickle)$|(^|\/)pytorch_model\.bin\.index\.json$/i, PICKLE],
  [/\.(tar|tgz|tar\.\w+)$/i, archive("tar")],
  [/\.zip$/i, archive("ZIP")],
  [/\.(7z|rar|gz|bz2|xz|zst)$/i, archive("compressed")],
];

/** Identifies a file by its name; undefined if unknown. */
export function kindByName(name: string): FileKind | undefined {
  return NAMES.find(([pattern]) => pattern.test(name))?.[1];
}

/**
 * Identifies a file by `head` (its first 512 bytes, or all); undefined for plain text, JSON and unknown formats.
 * Formats without a signature (pickle, ONNX, msgpack) are recognised by the typical output of their writers.
 */
export function kindOf(head: Uint8Array): FileKind | undefined {
  if (head.length === 0) return EMPTY;
  const text = latin1(head);
  const magic = MAGIC.find(([at, mark]) => text.startsWith(mark, at));
  if (magic) return magic[2];
  if (text.startsWith("PK\x03\x04") || text.startsWith("PK\x05\x06")) return kindOfZip(head, text);
  if (head.length >= LEAST_ZEROS && head.every((byte) => byte === 0)) {
    return { is: "zeros: an unfinished download", remedy: AGAIN };
  }
  if (/^\{\s*["}]/.test(text.slice(8)) && isSmall(head)) return SAFETENSORS;
  return kindOfText(text.replace(/^\xef\xbb\xbf/, "").trimStart()) ?? kindOfUnmarked(head, text);
}

/** The upper four bytes of a safetensors header's length. */
function isSmall(head: Uint8Array): boolean {
  return head[4] === 0 && head[5] === 0 && head[6] === 0 && head[7] === 0;
}

function kindOfText(text: string): FileKind | undefined {
  if (/^version https?:\/\/(git-lfs|hawser)\.github\.com\/spec/.test(text)) return LFS;
  if (/^(\/|\.\.\/|\.git\/)*annex\/objects\//.test(text)) return ANNEX;
  if (/^(\.\.\/)+blobs\/[0-9a-f]{40,64}\s*$/.test(text)) return LINK;
  if (/^<(!doctype\s+html|html|head|body)\b/i.test(text) || /^<!--.*?-->\s*<(!doctype\s+html|html)\b/is.test(text)) {
    return HTML;
  }
  if (text.startsWith("<?xml") || /^<Error\b/.test(text)) return kindOfXml(text);
  return kindOfReply(text);
}

/** Error responses of object stores (S3, Azure, Google): `<Error><Code>NoSuchKey</Code>…`. */
function kindOfXml(text: string): FileKind {
  const [, code] = /<Code>([^<]{1,60})/.exec(text) ?? [];
  const [, message] = /<Message>([^<]{1,120})/.exec(text) ?? [];
  if (code === undefined) return { is: "XML", remedy: AGAIN };
  const words = message === undefined ? code : `${code}: ${message}`;
  return { is: `a server's error in XML (${words})`, remedy: `check the address and its permissions, then ${AGAIN}` };
}

/** Error responses of hubs and gateways, as text or JSON, that scripts save under the file's name. */
function kindOfReply(text: string): FileKind | undefined {
  const remedy = `check name, access and token, then ${AGAIN}`;
  const plain =
    /^(Entry not found|Repository not found|Not Found|Invalid username or password|Access to model|Forbidden|Unauthorized|Too Many Requests|Bad Gateway|Service Unavailable)[^\n]{0,100}/i.exec(
      text,
    );
  if (plain) return { is: `a server's answer (${plain[0].trim()})`, remedy };
  const [, words] = /^\{\s*"(?:error|message|detail|errors)"\s*:\s*\[?\s*"?([^"\n]{0,100})/.exec(text) ?? [];
  return words === undefined ? undefined : { is: `a server's error (${words.trim()})`, remedy };
}

function kindOfZip(head: Uint8Array, text: string): FileKind {
  const length = (head[26] ?? 0) | ((head[27] ?? 0) << 8);
  const name = text.slice(30, 30 + length);
  if (/\.pkl$|\/(byteorder|version|data\/\d+)$|^[^/]+\/\.data\//.test(name)) return TORCH_ZIP;
  if (/\.np[yz]$/.test(name)) return NPZ;
  if (/^(metadata\.json|config\.json|model\.weights\.h5)$/.test(name)) return KERAS;
  return archive("ZIP");
}

function kindOfUnmarked(head: Uint8Array, text: string): FileKind | undefined {
  const [first = 0, second = 0, third = 0] = head;
  // PROTO 2 to 5, and an opcode that files begin with: a frame, a long, a dictionary, a tuple, a class.
  if (first === 0x80 && second >= 2 && second <= 5 && "\x95\x8a\x8b}]()c\x8c".includes(text[2] ?? "?")) return PICKLE;
  // Fields 1 (a small number) and 2 of a message: the name of the program that wrote it, or a graph.
  if (first === 0x08 && second > 0 && second < 0x40 && third === 0x12) {
    const length = head[3] ?? 0;
    const name = text.slice(4, 4 + Math.min(length, 8));
    return length > 0 && length < 64 && /^[\w .\-/]+$/.test(name) ? ONNX : SAVED_MODEL;
  }
  if (first === 0x08 && second > 0 && second < 0x40 && [0x1a, 0x3a, 0x42].includes(third)) return ONNX;
  // A map whose first key is a name.
  const key = first === 0xde ? text.slice(3, 14) : (first & 0xf0) === 0x80 ? text.slice(1, 12) : undefined;
  if (key !== undefined && /^([\xa1-\xbf]|\xd9.)[A-Za-z_]/.test(key)) return MSGPACK;
  return undefined;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, HEAD_BYTES));
}
