import { MediaError } from "../../base/errors.js";
import { printableAscii } from "../bytes/printable-ascii.js";

/** Type and file offset of a box, for error messages. */
export interface BoxPlace {
  readonly type: string;
  readonly offsetBytes: number;
}

const whereOf = (label: string, box: BoxPlace): string =>
  `${label}, box "${printableAscii(box.type)}" at byte ${box.offsetBytes}`;

/** Returns the error for a box that is invalid or contradicts the file. */
export function broken(label: string, box: BoxPlace, expected: string, got: string): MediaError {
  return new MediaError({ where: whereOf(label, box), expected, got, remedy: "get an undamaged copy" });
}

/** Returns the error for a file that ends inside a box. */
export function cut(label: string, box: BoxPlace, boxBytes: number, fileBytes: number): MediaError {
  return new MediaError({
    where: whereOf(label, box),
    expected: `${boxBytes} bytes${box.type === "mdat" ? " of media and an index after them" : ""}`,
    got: `a file that ends after ${fileBytes - box.offsetBytes} of them`,
    remedy: "the file is cut; get a complete copy",
  });
}
