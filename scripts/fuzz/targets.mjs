// The parsers of what strangers send or publish, each as a function of bytes or of a JSON value, with seeds from test/data.
//
// `run` resolves, or rejects with an OcellusError; anything else is a find. `kind` says how inputs are mutated.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dist = (path) => import(new URL(`../../dist/${path}.js`, import.meta.url).href);

/** Longest seeds and inputs, so that many are executed. */
export const MOST_BYTES = 16 * 1024;
/** Pictures of more pixels are not decoded: their cost is their size, which has a bound of its own. */
const MOST_PIXELS = 2 ** 18;

function filesOf(folder, pattern) {
  return readdirSync(join(root, folder))
    .filter((name) => pattern.test(name))
    .map((name) => join(root, folder, name))
    .filter((path) => statSync(path).size <= MOST_BYTES)
    .map((path) => readFileSync(path));
}

const json = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const text = (path) => readFileSync(join(root, path), "utf8");

/** Pictures of test/data: those with a file, and those that pictures.json contains. */
function pictures(pattern) {
  const made = json("test/data/pictures/pictures.json");
  return [
    ...filesOf("test/data/media/images", pattern),
    ...filesOf("test/data/pictures", pattern),
    ...Object.entries(made)
      .filter(([name, { data }]) => pattern.test(name) && typeof data === "string" && data.length < MOST_BYTES)
      .map(([, { data }]) => Buffer.from(data, "base64")),
  ];
}

async function picture(pattern, words) {
  const { inspectPicture } = await dist("io/pictures/inspect-picture");
  const { decodePng } = await dist("io/pictures/png");
  const { decodeGif, openGif } = await dist("io/pictures/gif");
  const { decodeBmp } = await dist("io/pictures/bmp");
  const { cleanJpeg, cleanWebp, checkAvif } = await dist("io/pictures/picture-clean");
  const { decodeAvif } = await dist("io/pictures/avif");
  const noSamples = async () => {
    const { MediaError } = await dist("base/errors");
    throw new MediaError({ where: "x", expected: "no native decoder", got: "a picture", remedy: "none" });
  };
  return {
    kind: "bytes",
    words,
    seeds: pictures(pattern),
    run: async (bytes) => {
      const info = inspectPicture(bytes, "x");
      const pixels = info.width * info.height;
      if (pixels > MOST_PIXELS) return;
      if (info.format === "png") await decodePng(bytes, "x", info.chunks);
      if (info.format === "bmp") decodeBmp(bytes, "x", info.bmp);
      if (info.format === "jpeg") cleanJpeg(bytes, info.segments, pixels, "x");
      if (info.format === "webp") cleanWebp(bytes, info.webp, "x");
      if (info.format === "avif") {
        checkAvif(info.heif, "x");
        await decodeAvif(info.heif, noSamples, "x", MOST_PIXELS);
      }
      if (info.format !== "gif") return;
      decodeGif(bytes, "x", info.gif);
      const animation = openGif(bytes, "x", MOST_PIXELS, info.gif);
      await animation.picture(animation.durationsMilliseconds.length - 1);
      animation.close();
    },
  };
}

async function clip(format, folder, pattern, words) {
  const { bytesSource } = await dist("io/bytes/source");
  const { readClipIndex } = await dist("io/video/mp4");
  const { readMatroskaIndex } = await dist("io/video/matroska");
  return {
    kind: "bytes",
    words,
    seeds: folder.flatMap((name) => filesOf(name, pattern)),
    run: async (bytes) => {
      const source = bytesSource(bytes, "x");
      if (format === "mp4") await readClipIndex(source, "x");
      else await readMatroskaIndex(source, "x", {});
    },
  };
}

/** A place with these files, as the bytes or the JSON of each. */
function placeOf(files, bytesSource) {
  return {
    name: "place",
    list: async () => Object.keys(files),
    has: async (name) => Object.hasOwn(files, name),
    open: async (name) => (Object.hasOwn(files, name) ? bytesSource(files[name], name) : undefined),
  };
}

const parsed = async (bytes) => {
  const { parseJson } = await dist("io/text/json");
  const { decodeText } = await dist("io/text/text");
  const { CheckpointError } = await dist("base/errors");
  return parseJson(decodeText(bytes, "x.json", { Fault: CheckpointError }), "x.json");
};
const encode = (value) => new TextEncoder().encode(JSON.stringify(value) ?? "null");

/** A safetensors file with this header. */
function withHeader(header, dataBytes = 0) {
  const bytes = encode(header);
  const file = new Uint8Array(8 + bytes.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(bytes.length), true);
  file.set(bytes, 8);
  return file;
}

const HEADER = {
  __metadata__: { format: "pt" },
  "a.weight": { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
  "b.bias": { dtype: "BF16", shape: [4], data_offsets: [24, 32] },
};

async function constrained(kind) {
  const { constrain } = await dist("structure/index");
  const { tokenBytes } = await dist("io/detokenizer");
  const { model } = json("models/tiny/tokenizer.json");
  const tokens = [];
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = tokenBytes(token);
  const vocabulary = { tokens, eosTokens: [597] };
  return async (source) => {
    const position = await constrain({ [kind]: source }, vocabulary);
    position.mask(40);
    const mask = position.mask();
    const token = mask.findIndex((word) => word !== 0);
    if (token < 0) return;
    const id = token * 32 + 31 - Math.clz32(mask[token]);
    position.accept(id);
    if (!position.ended) position.mask(7);
  };
}

/** What 40 million steps of a compilation may allocate, garbage included. */
const COMPILED_BYTES = 256 * 2 ** 20;

const REGEX_WORDS = [
  ...[
    "(",
    ")",
    "(?:",
    "(?=",
    "(?!",
    "(?<n>",
    "[",
    "[^",
    "]",
    "-",
    "|",
    "*",
    "+",
    "?",
    "{3}",
    "{2,}",
    "{0,9}",
    "{1000}",
    "^",
    "$",
    ".",
  ],
  ...[
    "\\d",
    "\\w",
    "\\s",
    "\\S",
    "\\p{L}",
    "\\P{Lu}",
    "\\u{1f600}",
    "\\ud83d\\ude00",
    "\\x41",
    "\\cA",
    "\\b",
    "\\1",
    "\\k<n>",
    "\\n",
    "\\-",
  ],
];

/** Ends requests that pass the checks, before anything is generated. */
async function fakeModel() {
  const { PromptError } = await dist("base/errors");
  const stop = () => {
    throw new PromptError({ where: "model", expected: "nothing", got: "a request", remedy: "none" });
  };
  return { createSession: () => ({ generate: stop, dispose: () => {} }) };
}

const PICTURE = () =>
  `data:image/png;base64,${readFileSync(join(root, "test/data/media/images/png_pal1.png"), "base64")}`;
const REQUESTS = () => [
  { messages: [{ role: "user", content: "Hi" }] },
  {
    model: "ocellus",
    messages: [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: PICTURE(), detail: "low" } },
          { type: "text", text: "What?" },
        ],
      },
    ],
    ...{
      temperature: 0.7,
      top_p: 0.9,
      top_k: 5,
      min_p: 0.1,
      seed: 7,
      stop: ["a", "b"],
      n: 2,
      max_tokens: 9,
      stream: true,
    },
    ...{
      stream_options: { include_usage: true },
      logprobs: true,
      top_logprobs: 3,
      logit_bias: { 5: 1 },
      min_tokens: 2,
    },
  },
  {
    messages: [{ role: "user", content: "x" }],
    response_format: {
      type: "json_schema",
      json_schema: { name: "x", schema: { type: "object", properties: { a: { enum: ["b"] } } } },
    },
  },
  {
    messages: [{ role: "user", content: "x" }],
    guided_regex: "[a-z]{1,9}",
    structured_outputs: {},
    repetition_penalty: 1.1,
  },
  {
    messages: [
      {
        role: "user",
        content: [{ type: "video_url", video_url: { url: "data:video/mp4;base64,AAAA", frames: 4, track: 0 } }],
      },
    ],
  },
  {
    input: [
      {
        role: "user",
        content: [
          { type: "input_image", image_url: PICTURE(), detail: "auto" },
          { type: "input_text", text: "What?" },
        ],
      },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "A cat.", annotations: [] }] },
      { role: "user", content: "And?" },
    ],
    ...{
      instructions: "Be brief.",
      max_output_tokens: 5,
      metadata: { a: "b" },
      text: { format: { type: "json_object" } },
    },
    ...{ include: ["message.output_text.logprobs"], top_logprobs: 2, store: false, previous_response_id: "resp_1" },
  },
  { input: ["a", "b"], encoding_format: "base64", dimensions: 4 },
];

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Makes a target by its name; seeds are read and modules loaded only for it. */
export const TARGETS = {
  png: () =>
    picture(/\.png$/, [
      "IHDR",
      "PLTE",
      "IDAT",
      "tRNS",
      "IEND",
      "acTL",
      "fcTL",
      "eXIf",
      "iTXt",
      "iCCP",
      "\x78\x9c",
      "\x89PNG\r\n\x1a\n",
    ]),
  jpeg: () =>
    picture(/\.jpe?g$/, [
      "\xff\xd8",
      "\xff\xc0\x00\x11",
      "\xff\xc2",
      "\xff\xda",
      "\xff\xd9",
      "\xff\xdd\x00\x04\x00\x01",
      "\xff\xe1",
      "Exif\x00\x00II*\x00",
      "\xff\xd0",
      "\xff\x00",
    ]),
  gif: () =>
    picture(/\.gif$/, ["GIF89a", "\x21\xf9\x04", "\x2c", "\x3b", "\x21\xffNETSCAPE2.0", "\x21\xfe", "\x00\x00"]),
  bmp: () =>
    picture(/\.bmp$/, [
      "BM",
      "\x28\x00\x00\x00",
      "\x0c\x00\x00\x00",
      "\x6c\x00\x00\x00",
      "\x7c\x00\x00\x00",
      "\x01\x00\x18\x00",
      "\x01\x00\x08\x00",
      "\x01\x00\x00\x00",
      "\x02\x00\x00\x00",
      "\x00\x01",
      "\x00\x02",
    ]),
  webp: () =>
    picture(/\.webp$/, [
      "RIFF",
      "WEBP",
      "VP8 ",
      "VP8L",
      "VP8X",
      "ANIM",
      "ANMF",
      "ALPH",
      "EXIF",
      "XMP ",
      "ICCP",
      "\x9d\x01\x2a",
      "\x2f",
    ]),
  heif: () =>
    picture(/\.(avif|heic|heif)$/, [
      ...[
        "ftyp",
        "avif",
        "avis",
        "heic",
        "mif1",
        "meta",
        "hdlr",
        "pitm",
        "iloc",
        "iinf",
        "infe",
        "iprp",
        "ipco",
        "ipma",
        "ispe",
      ],
      ...[
        "av1C",
        "hvcC",
        "pixi",
        "colr",
        "nclx",
        "irot",
        "imir",
        "clap",
        "auxC",
        "iref",
        "dimg",
        "auxl",
        "idat",
        "mdat",
        "grid",
        "moov",
      ],
    ]),
  mp4: () =>
    clip("mp4", ["test/data/media/videos", "test/data/clips"], /\.(mp4|mov)$/, [
      ...[
        "ftyp",
        "moov",
        "trak",
        "mdia",
        "minf",
        "stbl",
        "stsd",
        "stts",
        "ctts",
        "stsc",
        "stsz",
        "stz2",
        "stco",
        "co64",
        "stss",
        "elst",
      ],
      ...[
        "edts",
        "mvhd",
        "tkhd",
        "mdhd",
        "hdlr",
        "vide",
        "avc1",
        "avcC",
        "hvc1",
        "hvcC",
        "av01",
        "vp09",
        "vpcC",
        "moof",
        "traf",
        "tfhd",
      ],
      ...[
        "tfdt",
        "trun",
        "mvex",
        "trex",
        "sidx",
        "mdat",
        "free",
        "uuid",
        "colr",
        "pasp",
        "\x00\x00\x00\x01",
        "\xff\xff\xff\xff",
      ],
    ]),
  matroska: () =>
    clip("matroska", ["test/data/clips"], /\.(webm|mkv)$/, [
      ...[
        "\x1a\x45\xdf\xa3",
        "\x18\x53\x80\x67",
        "\x11\x4d\x9b\x74",
        "\x15\x49\xa9\x66",
        "\x16\x54\xae\x6b",
        "\x1f\x43\xb6\x75",
        "\x1c\x53\xbb\x6b",
      ],
      ...[
        "\xae",
        "\xe0",
        "\xb0",
        "\xba",
        "\xa3",
        "\xa0",
        "\xa1",
        "\xe7",
        "\xec",
        "\xd7",
        "\x86",
        "\x63\xa2",
        "\x2a\xd7\xb1",
      ],
      ...["V_VP9", "V_MPEG4/ISO/AVC", "\x01\xff\xff\xff\xff\xff\xff\xff", "\xff", "\x80"],
    ]),
  mixture: async () => {
    const { readMixture } = await dist("training/mixture");
    return {
      kind: "text",
      words: [
        "datasets:",
        "json_path:",
        "sampling_strategy:",
        "first:10%",
        "random:3",
        "- ",
        "&a",
        "*a",
        "<<:",
        "[",
        "{",
        "|",
        ">",
      ],
      seeds: [
        "datasets:\n  - json_path: a.json\n    sampling_strategy: random:10%\n  - { json_path: b.parquet, sampling_strategy: 'end:3' }\n",
      ],
      run: async (text) => {
        for (const { choose } of await readMixture(text, "x.yaml", 1)) choose(100);
      },
    };
  },
  safetensors: async () => {
    const { openSafetensors } = await dist("io/checkpoint/safetensors");
    const { bytesSource } = await dist("io/bytes/source");
    return {
      kind: "bytes",
      words: [
        '"dtype":"F32"',
        '"shape":[1]',
        '"data_offsets":[0,4]',
        "__metadata__",
        "{",
        "}",
        "[",
        "]",
        '"',
        ",",
        ":",
        "1e9",
        "-1",
        "BF16",
        "I64",
      ],
      seeds: [
        withHeader(HEADER, 32),
        withHeader({}, 0),
        withHeader({ x: { dtype: "U8", shape: [0, 9], data_offsets: [0, 0] } }),
      ].map((b) => Buffer.from(b)),
      run: async (bytes) => void (await openSafetensors(bytesSource(bytes, "x.safetensors"))),
    };
  },
  "safetensors-header": async () => {
    const { openSafetensors } = await dist("io/checkpoint/safetensors");
    const { bytesSource } = await dist("io/bytes/source");
    return {
      kind: "json",
      words: ["F32", "BF16", "I64", "U8", "dtype", "shape", "data_offsets", "__metadata__", "a.weight"],
      seeds: [HEADER],
      run: async (header) => void (await openSafetensors(bytesSource(withHeader(header, 32), "x.safetensors"))),
    };
  },
  "packed-metadata": async () => {
    const { openTensors } = await dist("io/checkpoint/tensor-index");
    const { packedHead, packedMetadata } = await dist("io/checkpoint/packed-tensors");
    const { bytesSource } = await dist("io/bytes/source");
    const part = (name, interleave) => ({ name, shape: [16, 40], interleave });
    const tensors = [
      { name: "m", type: "q4", inner: 40, parts: [part("a", 0), part("b", 1)] },
      { name: "n", type: "f32", parts: [{ name: "n", shape: [40] }] },
    ];
    const [[key, seed]] = Object.entries(packedMetadata([{ name: "l", sha256: "0".repeat(64), tensors }]));
    const [m, n] = tensors.map((tensor) => packedHead(tensor));
    const header = { m: { ...m, data_offsets: [0, 1280] }, n: { ...n, data_offsets: [1280, 1440] } };
    return {
      kind: "json",
      words: [
        "version",
        "layout",
        "layers",
        "sha256",
        "tensors",
        "parts",
        "inner",
        "interleave",
        "f32",
        "q8",
        "q4",
        "m",
      ],
      seeds: [JSON.parse(seed)],
      run: async (value) => {
        const metadata = { [key]: new TextDecoder().decode(encode(value)) };
        const files = { "model.safetensors": withHeader({ __metadata__: metadata, ...header }, 1440) };
        const index = await openTensors(placeOf(files, bytesSource));
        for (const stored of index.entries.values()) await index.read(stored, 0, stored.entry.lengthBytes);
        await index.close();
      },
    };
  },
  "index-json": async () => {
    const { openTensors } = await dist("io/checkpoint/tensor-index");
    const { bytesSource } = await dist("io/bytes/source");
    const shards = {
      "model-1.safetensors": withHeader({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1] } }, 1),
      "model-2.safetensors": withHeader({ b: { dtype: "U8", shape: [1], data_offsets: [0, 1] } }, 1),
    };
    return {
      kind: "json",
      words: ["weight_map", "model-1.safetensors", "model-2.safetensors", "../a.safetensors", "a", "b", "metadata"],
      seeds: [{ metadata: { total_size: 2 }, weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } }],
      run: async (value) => {
        const index = await openTensors(placeOf(shards, bytesSource), await parsed(encode(value)));
        await index.close();
      },
    };
  },
  config: async () => {
    const { parseConfig } = await dist("models/llava-onevision/config");
    const { checkFamily } = await dist("models/llava-onevision/family");
    const { openSafetensors } = await dist("io/checkpoint/safetensors");
    const { bytesSource } = await dist("io/bytes/source");
    const weights = await openSafetensors(bytesSource(readFileSync(join(root, "models/tiny/model.safetensors")), "x"));
    const tensorShapes = new Map([...weights.entries.values()].map((entry) => [entry.name, entry.shape]));
    const names = ["models/tiny", "test/data/goldens/hf-05b-like", "test/data/goldens/lmms-7b-like"];
    const optional = (path) => {
      try {
        return json(path);
      } catch {
        return undefined;
      }
    };
    return {
      kind: "json",
      words: [
        "qwen2",
        "siglip_vision_model",
        "llava_onevision",
        "anyres_max_9",
        "text_config",
        "vision_config",
        "hidden_size",
        "num_hidden_layers",
        "rope_theta",
      ],
      seeds: names.map((name) => ({
        config: json(`${name}/config.json`),
        preprocessor: optional(`${name}/preprocessor_config.json`),
        generation: optional(`${name}/generation_config.json`),
      })),
      run: async (value) => {
        const { config: given = null, preprocessor, processor, generation } = value ?? {};
        checkFamily(await parsed(encode(given)));
        const config = await parsed(encode(given));
        parseConfig(config, { preprocessor, processor, generation, tensorShapes });
      },
    };
  },
  tokenizer: async () => {
    const { Tokenizer } = await dist("io/text/tokenizer");
    const whole = json("models/tiny/tokenizer.json");
    const vocab = Object.fromEntries(Object.entries(whole.model.vocab).filter(([, id]) => id < 256));
    const small = { ...whole, model: { ...whole.model, vocab: { ...vocab, ab: 256 }, merges: ["a b"] } };
    const config = { added_tokens_decoder: { 300: { content: "<x>", special: true } }, eos_token: "<x>" };
    return {
      kind: "json",
      words: [
        "BPE",
        "ByteLevel",
        "Split",
        "Regex",
        "String",
        "NFC",
        "Sequence",
        "Lowercase",
        "added_tokens",
        "content",
        "special",
        "lstrip",
        "(a+)+$",
        "\\s+",
        "Ġ",
      ],
      seeds: [{ tokenizer: small, tokenizerConfig: config, addedTokens: { "<y>": 301 } }],
      run: async (value) => {
        const { tokenizer, tokenizerConfig, addedTokens } = value ?? {};
        const files = await parsed(encode({ tokenizer, tokenizerConfig, addedTokens }));
        const made = new Tokenizer(files);
        made.decode(made.encode("Hello  world,\n\n<x> it's 12 <y>ſ!  "), { skipSpecialTokens: true });
      },
    };
  },
  template: async () => {
    const { templateFromCheckpoint } = await dist("models/llava-onevision/jinja-template");
    const { withoutTexts } = await dist("models/llava-onevision/literal-text");
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "image" }, { type: "text", text: " <|im_end|> what is it? " }] },
      { role: "assistant", content: "A cat." },
      { role: "user", content: "And?" },
    ];
    const sources = [
      json("models/tiny/tokenizer_config.json").chat_template,
      ...["hf-05b-like", "lmms-7b-like"].flatMap((name) =>
        readdirSync(join(root, "test/data/goldens", name))
          .filter((file) => file === "chat_template.jinja")
          .map((file) => text(join("test/data/goldens", name, file))),
      ),
      "{%- set ns = namespace(a=1) %}{% macro m(x, y=2) %}{{ x|upper ~ y }}{% endmacro %}{% for m in messages if m.role != 'x' %}{{ loop.index0 }}{{ m.content }}{% endfor %}",
      "{% for m in messages %}{% if m.content is string %}{{ m.content|trim }}{% else %}{% for c in m.content %}{{ '<image>' if c.type == 'image' else c.text }}{% endfor %}{% endif %}{% endfor %}",
    ].filter((source) => typeof source === "string");
    return {
      kind: "text",
      words: [
        ...[
          "{{",
          "}}",
          "{%",
          "%}",
          "{#",
          "#}",
          "{%-",
          "-%}",
          "for a in range(9)",
          "endfor",
          "if",
          "elif",
          "else",
          "endif",
          "set x =",
          "macro f()",
        ],
        ...[
          "endmacro",
          "f()",
          "namespace()",
          "ns.a",
          "loop.index",
          "|join",
          "|list",
          "|tojson",
          "|replace('a','bb')",
          "|indent(9)",
          "|length",
        ],
        ...[
          "messages",
          "[0]",
          "[::-1]",
          "['role']",
          ".content",
          "is defined",
          "in",
          "not",
          "and",
          "+",
          "~",
          "*",
          "'a'",
          "1",
          "raise_exception('x')",
        ],
        ...[
          "{% generation %}",
          "{% endgeneration %}",
          "|selectattr('type')",
          "|map(attribute='text')",
          "break",
          "continue",
          "call",
          "filter upper",
        ],
      ],
      seeds: sources,
      run: async (jinja) => {
        const template = templateFromCheckpoint({ jinja, tokenizerConfig: { eos_token: "<|im_end|>" } });
        const prompt = template.render(messages);
        withoutTexts(prompt, messages, template, { addedTokensIn: (given) => given.match(/<\|im_end\|>/g) ?? [] });
      },
    };
  },
  json: async () => ({
    kind: "text",
    words: ["{", "}", "[", "]", '"', ":", ",", "\\u0041", "\\", "1e5", "-0", "true", "null", "\ufeff", "\n", " "],
    seeds: ['{"a": [1, 2.5e3, {"b": null}], "c": "\\u00e9\\n"}', "[]", '[[["x"]]]'],
    run: async (given) => {
      const { parseJson } = await dist("io/text/json");
      for (const uniqueKeys of [false, true]) {
        let value;
        try {
          value = parseJson(given, "x.json", { uniqueKeys });
        } catch (error) {
          // What JSON.parse takes is refused for its depth and its keys only.
          if (!uniqueKeys && isJson(given) && !error.message.includes("levels"))
            throw new Error(`refused: ${error.message}`);
          throw error;
        }
        if (JSON.stringify(value) !== JSON.stringify(JSON.parse(given))) throw new Error("another value");
      }
    },
  }),
  schema: async () => {
    const run = await constrained("schema");
    const suite = JSON.parse(
      gunzipSync(readFileSync(join(root, "test/data/schemas/json-schema-test-suite.json.gzip"))).toString(),
    );
    const written = json("test/data/schemas/written.json").map(({ schema }) => schema);
    const found = [...written];
    const collect = (value) => {
      if (typeof value !== "object" || value === null) return;
      if (typeof value.schema === "object" && value.schema !== null) found.push(value.schema);
      else for (const inner of Object.values(value)) collect(inner);
    };
    collect(suite);
    return {
      kind: "json",
      words: [
        ...[
          "type",
          "object",
          "array",
          "string",
          "integer",
          "number",
          "boolean",
          "null",
          "properties",
          "required",
          "items",
          "prefixItems",
        ],
        ...[
          "minItems",
          "maxItems",
          "uniqueItems",
          "minLength",
          "maxLength",
          "pattern",
          "format",
          "date-time",
          "uri",
          "email",
          "uuid",
          "enum",
        ],
        ...[
          "const",
          "anyOf",
          "oneOf",
          "allOf",
          "not",
          "$ref",
          "#/$defs/a",
          "#",
          "$defs",
          "a",
          "additionalProperties",
          "patternProperties",
        ],
        ...[
          "propertyNames",
          "minProperties",
          "maxProperties",
          "minimum",
          "maximum",
          "exclusiveMinimum",
          "multipleOf",
          "nullable",
          "discriminator",
        ],
        ...["^a{1,9}$", "^(?=.*x).{2,5}$", "[a-z]+@x"],
      ],
      seeds: found,
      memoryBytes: COMPILED_BYTES,
      run: async (schema) => {
        const { isObject } = await dist("base/is-object");
        if (isObject(schema)) await run(schema);
      },
    };
  },
  regex: async () => ({
    kind: "text",
    words: REGEX_WORDS,
    seeds: [
      "[a-z]{1,9}@(?:x|yy)+",
      "^(?=.*[0-9])(?!a).{2,8}$",
      "\\d{4}-\\d\\d",
      "\\p{L}+( \\p{Lu}\\w*)?",
      "(a|b)*a(a|b){3}",
      '[^\\s"-\\]]{0,3}|x\\u{41}',
    ],
    memoryBytes: COMPILED_BYTES,
    run: await constrained("regex"),
  }),
  grammar: async () => ({
    kind: "text",
    words: [
      "root ::= ",
      "\n",
      "a ::= ",
      '"x"',
      "'y'",
      "[a-z]",
      "[^\\n]",
      "(",
      ")",
      "|",
      "*",
      "+",
      "?",
      "{2}",
      "{0,9}",
      "{1000}",
      "# note",
      "a",
      "b",
      ".",
      "\\x41",
      "\\u0041",
      "\\",
      '"',
      " ",
    ],
    seeds: [
      'root ::= a ("," a)*\na ::= "x" [0-9]{1,3} | b?\nb ::= \'y\' | "(" root ")" # deep\n',
      'root ::= "yes" | "no"',
      'root ::= [^\\\\"]* . x{2,}\nx ::= [a-c]+\n',
    ],
    memoryBytes: COMPILED_BYTES,
    run: await constrained("grammar"),
  }),
  openai: async () => {
    const { ChatCompletions, Responses, createEmbeddings } = await dist("openai/index").then(async (all) => ({
      ...all,
      ...(await dist("openai/embeddings")),
    }));
    const { OcellusError } = await dist("base/errors");
    const completions = new ChatCompletions(await fakeModel(), { maxPixels: 1e6 });
    const responses = new Responses(completions);
    const signal = new AbortController().signal;
    const embed = async (texts) => ({ vectors: texts.map(() => new Float32Array(4)), tokens: 1 });
    // Of three interfaces most requests fit one: the others refuse them.
    const typed = (error) => {
      if (!(error instanceof OcellusError)) throw error;
    };
    return {
      kind: "json",
      words: [
        ...[
          "messages",
          "role",
          "user",
          "assistant",
          "system",
          "tool",
          "content",
          "text",
          "type",
          "image_url",
          "video_url",
          "url",
          "detail",
          "low",
        ],
        ...[
          "data:image/png;base64,AAAA",
          "data:,",
          "http://10.0.0.1/",
          "input",
          "input_text",
          "input_image",
          "instructions",
          "stream",
          "n",
          "stop",
        ],
        ...[
          "logit_bias",
          "seed",
          "response_format",
          "json_schema",
          "schema",
          "guided_json",
          "guided_choice",
          "temperature",
          "max_tokens",
          "tools",
        ],
      ],
      seeds: REQUESTS(),
      run: async (request) => {
        for (const start of [
          () => completions.start(request),
          () => responses.start(request),
          () => createEmbeddings(embed, "ocellus", request, signal),
        ]) {
          await start().catch(typed);
        }
      },
    };
  },
  hub: async () => {
    const { HubClient } = await dist("io/hub/hub-client");
    const { neededFiles } = await dist("io/hub/hub-names");
    const file = (path) => ({
      type: "file",
      path,
      size: 9,
      oid: "a".repeat(40),
      lfs: { oid: "b".repeat(64), size: 9 },
    });
    return {
      kind: "json",
      words: [
        "type",
        "file",
        "directory",
        "path",
        "size",
        "oid",
        "lfs",
        "config.json",
        "../x",
        "a/../../b",
        "C:\\x",
        "sha",
        COMMIT,
        "model.safetensors",
        "a".repeat(40),
      ],
      seeds: [
        {
          sha: COMMIT,
          pages: [
            [file("config.json"), file("model.safetensors")],
            [{ type: "directory", path: "onnx" }, file("onnx/a.json")],
          ],
        },
      ],
      run: async (value) => {
        const { sha, pages } = value ?? {};
        let page = 0;
        const fetch = async (url) => {
          if (String(url).includes("/revision/")) return Response.json({ sha });
          const list = Array.isArray(pages) ? pages[page++] : pages;
          const more = Array.isArray(pages) && page < pages.length;
          const link = more ? { link: `<https://hub.test/x?cursor=${page}>; rel="next"` } : {};
          return new Response(JSON.stringify(list) ?? "", { headers: link });
        };
        const client = new HubClient("org/name", { endpoint: "https://hub.test", retryDelayMilliseconds: 0, fetch });
        const files = await client.files(await client.commitOf("main"));
        for (const { path } of neededFiles(files).configs) client.urlOf(COMMIT, path);
      },
    };
  },
};

function isJson(given) {
  try {
    JSON.parse(given);
    return true;
  } catch {
    return false;
  }
}
