// Ranks the pictures of a folder by similarity to one picture: cosine similarity of SigLIP features.
//
//   node examples/nearest-picture.mjs [picture] [folder] [checkpoint]
//
// Without arguments: the drawings of the embedded checkpoint. A checkpoint of real size knows photographs.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { cosineSimilarity, LlavaOneVision } from "ocellus";

const tiny = "models/tiny";
const folder = process.argv[3] ?? join(tiny, "examples");
const picture = process.argv[2] ?? join(folder, "00-shapes.png");

const model = await LlavaOneVision.load(process.argv[4] ?? tiny);
const { embedding } = await model.embedImage(picture, { imageMode: "pad" });
const ranking = [];
for (const name of (await readdir(folder)).filter((file) => /\.(png|jpe?g|webp)$/i.test(file))) {
  const other = await model.embedImage(join(folder, name), { imageMode: "pad" });
  ranking.push({ name, similarity: cosineSimilarity(embedding, other.embedding) });
}
ranking.sort((a, b) => b.similarity - a.similarity);
for (const { name, similarity } of ranking.slice(0, 5)) console.log(similarity.toFixed(4), name);
model.dispose();
