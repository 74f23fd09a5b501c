/**
 * The description of a Matroska track: what its entry says, and how a decoder is set up for it. mediabunny finds codec
 * string, configuration record, colours and turns; it is shown a file of its own that holds the entry and one picture.
 * Source: RFC 9559, section 5.1.4.
 */
import type { LogLevel } from "mediabunny";
import { MediaError } from "../../base/errors.js";
import { MAX_PIXELS } from "../pictures/image.js";
import { orientationOfTurn } from "../pictures/orientation.js";
import type { ClipIndex } from "./clip-index.js";
import { asciiOf, type ElementBudget, elementsIn, uintOf, writeElement } from "./ebml.js";

/** Ids of elements, RFC 9559 section 5.1. */
const ID = {
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackType: 0x83,
  flagEnabled: 0xb9,
  codecId: 0x86,
  codecPrivate: 0x63a2,
  video: 0xe0,
  pixelWidth: 0xb0,
  pixelHeight: 0xba,
  colour: 0x55b0,
  projection: 0x7670,
  contentEncodings: 0x6d80,
  contentEncoding: 0x6240,
  contentEncodingScope: 0x5032,
  contentEncodingType: 0x5033,
  contentCompression: 0x5034,
  contentCompAlgo: 0x4254,
  contentCompSettings: 0x4255,
} as const;

/** What an entry of `Tracks` says. */
export interface MatroskaTrack {
  isEnabled: boolean;
  /** For messages: codec and size. */
  text: string;
  /** The number that blocks name it by. */
  number: number;
  kind: string;
  codecId: string;
  codecPrivate: Uint8Array;
  width: number;
  height: number;
  /** The elements of `Video` that say how pictures are shown: colours and turns. */
  shown: ReadonlyMap<number, Uint8Array>;
  /** What begins every block and is not in the file. */
  prefix: Uint8Array;
  /** How its blocks are packed, where they cannot be read. */
  packing: string | undefined;
}

const KINDS: Record<number, string> = { 1: "video", 2: "audio", 3: "complex", 17: "subtitle", 33: "metadata" };
const COMPRESSIONS = ["zlib", "bzlib", "lzo1x"];
const HEADER_STRIPPING = 3;
/** Muxers strip what all frames begin with: a few bytes. */
const MAX_PREFIX_BYTES = 1024;
/** Films with a subtitle in every language have some sixty. */
const MAX_TRACKS = 1024;
/** Mastering data are the longest part of them, some hundred bytes. */
const MAX_SHOWN_BYTES = 4096;

/** The entries of a `Tracks` element. @throws Error for elements that are cut or too long. */
export function readTracks(body: Uint8Array, budget: ElementBudget): MatroskaTrack[] {
  const tracks: MatroskaTrack[] = [];
  for (const { id, data } of elementsIn(body, budget)) {
    if (id !== ID.trackEntry) continue;
    if (tracks.length === MAX_TRACKS) throw new Error(`more than ${MAX_TRACKS} tracks`);
    tracks.push(readEntry(data, budget));
  }
  return tracks;
}

function readEntry(entry: Uint8Array, budget: ElementBudget): MatroskaTrack {
  const none = new Uint8Array();
  const shown = new Map<number, Uint8Array>();
  const track: MatroskaTrack = {
    ...{ number: 0, kind: "unknown", isEnabled: true, codecId: "", codecPrivate: none, width: 0, height: 0 },
    ...{ shown, prefix: none, packing: undefined, text: "" },
  };
  for (const { id, data } of elementsIn(entry, budget)) {
    if (id === ID.trackNumber) track.number = uintOf(data);
    else if (id === ID.trackType) track.kind = KINDS[uintOf(data)] ?? "unknown";
    else if (id === ID.flagEnabled) track.isEnabled = uintOf(data) !== 0;
    else if (id === ID.codecId) track.codecId = asciiOf(data);
    else if (id === ID.codecPrivate) track.codecPrivate = data.slice();
    else if (id === ID.contentEncodings) Object.assign(track, readEncodings(data, budget));
    else if (id === ID.video) {
      for (const part of elementsIn(data, budget)) {
        if (part.id === ID.pixelWidth) track.width = uintOf(part.data);
        else if (part.id === ID.pixelHeight) track.height = uintOf(part.data);
        else if (part.id === ID.colour || part.id === ID.projection) {
          const length = part.endBytes - part.offsetBytes;
          if (length > MAX_SHOWN_BYTES) throw new Error(`colours or turns of ${length} bytes`);
          shown.set(part.id, data.slice(part.offsetBytes, part.endBytes));
        }
      }
    }
  }
  track.text = `${track.codecId} ${track.width}×${track.height}`;
  return track;
}

/** Which bytes to put back before each block, or what it is that cannot be undone. */
function readEncodings(body: Uint8Array, budget: ElementBudget): Pick<MatroskaTrack, "prefix" | "packing"> {
  let prefix: Uint8Array = new Uint8Array();
  let packing: string | undefined;
  let count = 0;
  for (const encoding of elementsIn(body, budget)) {
    if (encoding.id !== ID.contentEncoding) continue;
    count++;
    let scope = 1;
    let isEncrypted = false;
    let algorithm = 0;
    let settings: Uint8Array = new Uint8Array();
    for (const { id, data } of elementsIn(encoding.data, budget)) {
      if (id === ID.contentEncodingScope) scope = uintOf(data);
      else if (id === ID.contentEncodingType) isEncrypted = uintOf(data) === 1;
      else if (id === ID.contentCompression) {
        for (const part of elementsIn(data, budget)) {
          if (part.id === ID.contentCompAlgo) algorithm = uintOf(part.data);
          else if (part.id === ID.contentCompSettings) settings = part.data.slice();
        }
      }
    }
    if (isEncrypted) packing = "encrypted frames";
    else if (algorithm !== HEADER_STRIPPING) packing = `frames compressed by ${COMPRESSIONS[algorithm] ?? algorithm}`;
    else if (scope !== 1 || count > 1 || settings.length > MAX_PREFIX_BYTES)
      packing = "headers stripped more than once";
    else prefix = settings;
  }
  return { prefix, packing };
}

/** What of {@link ClipIndex} a track's description gives. */
type TrackConfig = Pick<ClipIndex, "codec" | "description" | "width" | "height" | "colour" | "orientation">;

/**
 * How a decoder is set up for a track. `keyframe` is the beginning of its first keyframe, where some codecs say what they are.
 * @throws MediaError for a size out of range, and a description that is broken.
 */
export async function configOf(track: MatroskaTrack, keyframe: Uint8Array, label: string): Promise<TrackConfig> {
  const { width, height } = track;
  if (width * height === 0 || width * height > MAX_PIXELS) {
    throw new MediaError({
      where: `${label}, the video track's size`,
      expected: `pictures of 1 to ${MAX_PIXELS} pixels`,
      got: `${width}×${height}`,
      remedy: "make the clip smaller: ffmpeg -i in.mkv -vf scale=1280:-2 out.mp4",
    });
  }
  try {
    return { width, height, ...(await describe(track, keyframe)) };
  } catch (cause) {
    throw new MediaError({
      where: `${label}, the video track's description`,
      expected: `one of ${track.codecId} that can be parsed`,
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: "get an undamaged copy, or rewrite the file: ffmpeg -i in.mkv -c copy out.mkv",
      cause,
    });
  }
}

/** Descriptions that are being read, and how much mediabunny said before them. */
let readers = 0;
let usualLevel: LogLevel = 0;

async function describe(track: MatroskaTrack, keyframe: Uint8Array): Promise<Omit<TrackConfig, "width" | "height">> {
  const { Input, BufferSource, Logging, LogLevel, MATROSKA } = await import("mediabunny");
  // It writes what it cannot parse to the console.
  if (readers++ === 0) usualLevel = Logging.level;
  Logging.level = LogLevel.Silent;
  const input = new Input({ source: new BufferSource(specimen(track, keyframe)), formats: [MATROSKA] });
  try {
    const video = await input.getPrimaryVideoTrack();
    const known = (await video?.getCodec()) ? video : null;
    const config = await known?.getDecoderConfig();
    // VP8 has one colour space of its own (RFC 6386, section 9.2), and the reference decodes it by that whatever the container says.
    const colour = track.codecId === "V_VP8" ? undefined : await known?.getColorSpace();
    const description = config?.description;
    return {
      codec: config?.codec ?? unknownCodec(track),
      description: description instanceof Uint8Array ? description.slice() : undefined,
      colour: {
        primaries: colour?.primaries ?? null,
        transfer: colour?.transfer ?? null,
        matrix: colour?.matrix ?? null,
        fullRange: colour?.fullRange ?? null,
      },
      orientation: orientationOfTurn((await known?.getRotation()) ?? 0, (await known?.getFlip()) ?? false),
    };
  } finally {
    input.dispose();
    if (--readers === 0) Logging.level = usualLevel;
  }
}

/** A whole file of one track and one picture. */
function specimen(track: MatroskaTrack, keyframe: Uint8Array): Uint8Array<ArrayBuffer> {
  const uint = (id: number, value: number): Uint8Array => {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, value);
    return writeElement(id, data);
  };
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const video = [uint(ID.pixelWidth, track.width), uint(ID.pixelHeight, track.height), ...track.shown.values()];
  const entry = [
    uint(ID.trackNumber, 1),
    uint(ID.trackType, 1),
    writeElement(ID.codecId, text(track.codecId)),
    ...(track.codecPrivate.length > 0 ? [writeElement(ID.codecPrivate, track.codecPrivate)] : []),
    writeElement(ID.video, ...video),
  ];
  const block = writeElement(0xa3, Uint8Array.of(0x81, 0, 0, 0x80), track.prefix, keyframe);
  const segment = [
    writeElement(0x1654ae6b, writeElement(ID.trackEntry, ...entry)),
    writeElement(0x1f43b675, uint(0xe7, 0), block),
  ];
  const file = [writeElement(0x1a45dfa3, writeElement(0x4282, text("matroska"))), writeElement(0x18538067, ...segment)];
  const bytes = new Uint8Array(file[0]!.length + file[1]!.length);
  bytes.set(file[0]!);
  bytes.set(file[1]!, file[0]!.length);
  return bytes;
}

/** A codec that only has a name here; of those from Windows the four letters tell more. */
function unknownCodec({ codecId, codecPrivate }: MatroskaTrack): string {
  return codecId === "V_MS/VFW/FOURCC" ? `${codecId} ${asciiOf(codecPrivate.subarray(16, 20))}` : codecId;
}
