import { expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.js";
import { printHelp } from "../../src/cli/help.js";
import { ocellus } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";

const commands = await Promise.all(Object.values(COMMANDS).map(([, load]) => load()));

test.each(commands.map((command) => [command.name, command] as const))(
  "the help of %s is one screen with examples, and --help-all has every option",
  (name, command) => {
    expect(Object.keys(COMMANDS)).toContain(name);
    const help = printHelp(command, false);
    const lines = help.trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(lines[0]).toMatch(new RegExp(`^ocellus ${name}`));
    expect(help).toMatch(/^ {2}\S*.*ocellus /m);
    const all = printHelp(command, true);
    for (const option of Object.keys(command.options)) expect(all).toContain(`--${option}`);
    if (Object.values(command.options).some(({ rare }) => rare)) expect(help).toContain("--help-all");
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
  },
);

test("the list of commands is one screen", async () => {
  const lines = (await ocellusHere(["--help"])).stdout.trimEnd().split("\n");
  expect(lines.length).toBeLessThanOrEqual(24);
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
  for (const name of Object.keys(COMMANDS)) expect(lines.join("\n")).toContain(name);
});

test("help and version are on standard output", async () => {
  for (const args of [[], ["--help"], ["help", "ask"], ["ask", "--help"], ["demo", "-h"], ["chat", "--help-all"]]) {
    const { code, stdout, stderr } = await ocellusHere(args);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^ocellus/);
  }
  const version = { code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/), stderr: "" };
  for (const args of [["-v"], ["ask", "--version"]]) expect(await ocellusHere(args)).toEqual(version);
  expect(await ocellus(["--version"])).toEqual(version);
});
