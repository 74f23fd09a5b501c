// Asks about a clip: eight frames, evenly spaced.
//
//   node examples/video.mjs [clip] [question] [checkpoint]
import { LlavaOneVision } from "ocellus";

const [clip = "models/tiny/examples/13-clip.mp4", question = "What happens in the video?"] = process.argv.slice(2);
const model = await LlavaOneVision.load(process.argv[4] ?? "models/tiny");
const { text } = await model.createSession().generate([
  { type: "video", video: clip, frames: 8 },
  { type: "text", text: question },
]).result;
console.log(text);
model.dispose();
