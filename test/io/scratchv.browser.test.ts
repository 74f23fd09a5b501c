import { createFile, type MP4BoxBuffer } from "mp4box";
import { it } from "vitest";
import { readFixture } from "../support/fixture.js";

it("explore", async () => {
  const lines: string[] = [];
  for (const name of ["h264_baseline.mp4","h264_high_bframes.mp4","h264_crop.mp4","h264_444_odd.mp4","h264_10bit.mp4","hevc_hvc1.mp4","hevc_hev1_10bit.mp4","vp9.mp4","vp9_odd.mp4","av1.mp4","av1_10bit.mp4","h264_bt601_limited.mp4","h264_bt601_full.mp4","h264_bt709_limited.mp4","h264_bt709_full.mov","h264_hd_unspecified.mp4","mpeg4_part2.mp4"]) {
    const bytes = await readFixture("media/videos/" + name);
    const f = createFile(true);
    const ab = bytes.slice().buffer as unknown as MP4BoxBuffer; ab.fileStart = 0;
    f.appendBuffer(ab);
    const trak = f.moov.traks.find((t) => t.mdia.hdlr.handler === "vide")!;
    const e = trak.mdia.minf.stbl.stsd.entries[0] as any;
    const cb = e.avcC || e.hvcC;
    const description = cb ? bytes.slice(cb.start + cb.hdr_size, cb.start + cb.size) : undefined;
    for (const cs of [undefined, { matrix: "smpte170m", primaries: "smpte170m", transfer: "smpte170m", fullRange: false }]) {
      const cfg: any = { codec: e.getCodec(), codedWidth: e.width, codedHeight: e.height, ...(description && { description }), ...(cs && { colorSpace: cs }) };
      let sup: unknown;
      try { sup = (await VideoDecoder.isConfigSupported(cfg)).supported; } catch (x) { sup = "threw " + x; }
      if (sup !== true) { lines.push(name + " " + cfg.codec + " " + sup); continue; }
      const out: string[] = []; let err: unknown;
      const d = new VideoDecoder({ output: (fr) => { const buf = new Uint8Array(fr.allocationSize()); out.push([fr.timestamp, fr.format, fr.codedWidth, fr.codedHeight, JSON.stringify(fr.visibleRect), JSON.stringify(fr.colorSpace), buf.length].join(" ")); fr.close(); }, error: (x) => { err = x; } });
      try {
        d.configure(cfg);
        for (const s of trak.samples) d.decode(new EncodedVideoChunk({ type: s.is_sync ? "key" : "delta", timestamp: Math.round(s.cts / s.timescale * 1e6), data: bytes.slice(s.offset, s.offset + s.size) }));
        await Promise.race([d.flush(), new Promise((_, r) => setTimeout(() => r(new Error("flush timeout")), 5000))]);
      } catch (x) { err ??= x; }
      lines.push([name, cfg.codec, cs ? "cs" : "--", out.length, trak.samples.length, out[0], out.slice(0, 5).map((x) => x.split(" ")[0]).join(","), err].join(" "));
    }
  }
  console.log(lines.join("\n"));
});
