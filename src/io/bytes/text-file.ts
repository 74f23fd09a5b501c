/** Text files that are given as pictures or clips by mistake, named by their beginning; undefined for other bytes. */
export function textFile(start: string): { readonly got: string; readonly remedy: string } | undefined {
  return TEXTS.find(({ pattern }) => pattern.test(start));
}

const TEXTS = [
  {
    pattern: /^version https:\/\/git-lfs/,
    got: "a Git LFS pointer, which stands for a file that was not downloaded",
    remedy: "run `git lfs pull` in the repository, or download the file itself",
  },
  {
    pattern: /^(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)/i,
    got: "an HTML page",
    remedy: "open its address in a browser: it may be a login or an error in the place of the file",
  },
];
