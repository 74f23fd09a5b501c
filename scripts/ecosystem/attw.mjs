// Are the types wrong? The package has ES modules only, which Node's `require` can load: its profile is esm-only.

export async function run({ command, project, ocellus, log }) {
  const folder = await project("attw");
  log(
    await command(folder, "npx", [
      "--yes",
      "@arethetypeswrong/cli",
      ocellus,
      "--profile",
      "esm-only",
      "--format",
      "table-flipped",
    ]),
  );
}
