/**
 * Parses the entry of a Matroska track and derives the decoder configuration. Codec string, configuration record, colour and rotation
 * are determined by mediabunny, from a small file that is composed of the entry and one keyframe.
 * Source: RFC 9559, section 5.1.4.
 */
import type { LogLevel } from "mediabunny";
import { causeMessage } from "../../base/cause-message.js";
import { MediaError } from "../../base/errors.js";
import { MAX_PIXELS } from "../pictures/image.js";
import { orientationOfTurn } from "../pictures/orientation.js";
import type { ClipIndex } from "./clip-index.js";
import { asciiOf, type ElementBudget, elementsIn, uintOf, writeElement } from "./ebml.js";

/** Element ids (RFC 9559, section 5.1). */
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

/** A parsed entry of `Tracks`. */
export interface MatroskaTrack {
  isEnabled: boolean;
  /** Codec and size, for error messages. */
  text: string;
  /** Track number, by which blocks refer to it. */
  number: number;
  kind: string;
  codecId: string;
  codecPrivate: Uint8Array;
  width: number;
  height: number;
  /** The elements of `Video` for display: colour and projection (rotation). */
  shown: ReadonlyMap<number, Uint8Array>;
  /** Bytes stripped from the start of every block (header stripping). */
  prefix: Uint8Array;
  /** Unsupported encoding of the blocks, for error messages; undefined if they can be read. */
  packing: string | undefined;
}

const KINDS: Record<number, string> = { 1: "video", 2: "audio", 3: "complex", 17: "subtitle", 33: "metadata" };
const COMPRESSIONS = ["zlib", "bzlib", "lzo1x"];
const HEADER_STRIPPING = 3;
/** Maximum length of stripped headers; muxers strip a few bytes. */
const MAX_PREFIX_BYTES = 1024;
/** Maximum number of tracks; films with many subtitles have about sixty. */
const MAX_TRACKS = 1024;
/** Maximum size of a display element; mastering metadata have about a hundred bytes. */
const MAX_SHOWN_BYTES = 4096;

/** Parses a `Tracks` element. @throws Error for truncated or oversized elements. */
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

/** Parses `ContentEncodings`: the bytes to prepend to each block, or a description of an unsupported encoding. */
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

/** The part of {@link ClipIndex} that depends on the track entry. */
type TrackConfig = Pick<ClipIndex, "codec" | "description" | "width" | "height" | "colour" | "orientation">;

/**
 * Returns the decoder configuration of a track. `keyframe`: the beginning of its first keyframe, which contains the parameters of some
 * codecs.
 * @throws MediaError for a size out of range and for a broken track entry.
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
      got: causeMessage(cause),
      remedy: "get an undamaged copy, or rewrite the file: ffmpeg -i in.mkv -c copy out.mkv",
      cause,
    });
  }
}

/** Number of concurrent calls into mediabunny, and its log level before them. */
let readers = 0;
let usualLevel: LogLevel = 0;

async function describe(track: MatroskaTrack, keyframe: Uint8Array): Promise<Omit<TrackConfig, "width" | "height">> {
  const { Input, BufferSource, Logging, LogLevel, MATROSKA } = await import("mediabunny");
  // mediabunny logs parse errors to the console.
  if (readers++ === 0) usualLevel = Logging.level;
  Logging.level = LogLevel.Silent;
  const input = new Input({ source: new BufferSource(specimen(track, keyframe)), formats: [MATROSKA] });
  try {
    const video = await input.getPrimaryVideoTrack();
    const known = (await video?.getCodec()) ? video : null;
    const config = await known?.getDecoderConfig();
    // VP8 has a fixed colour space (RFC 6386, section 9.2); like the reference, ignore the container's.
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

/** Composes a Matroska file of one track and one keyframe. */
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

/** Returns a name for an unsupported codec; for Windows codecs with their FourCC. */
function unknownCodec({ codecId, codecPrivate }: MatroskaTrack): string {
  return codecId === "V_MS/VFW/FOURCC" ? `${codecId} ${asciiOf(codecPrivate.subarray(16, 20))}` : codecId;
}
