import { OptionError } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import { type Command, type CommandList, type CommandOption, optionsOf } from "./command.js";

/** Returns the command that prints a shell's completion script for these commands. */
export function completionOf(commands: CommandList): Command {
  const shells = Object.keys(SCRIPTS);
  return {
    name: "completion",
    usage: "SHELL",
    about: "Prints the completion script of bash, zsh or fish.",
    options: {},
    mostPositionals: 1,
    words: shells,
    examples: [
      "source <(ocellus completion bash)   # in ~/.bashrc",
      "source <(ocellus completion zsh)    # in ~/.zshrc, after compinit",
      "ocellus completion fish | source    # in ~/.config/fish/config.fish",
    ],
    async run({ positionals: [shell = "none"], where }) {
      const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
      if (!script) {
        throw new OptionError({
          where,
          expected: shells.join(", "),
          got: shell,
          remedy: suggestion(shell, shells, String) ?? "run for example: source <(ocellus completion bash)",
        });
      }
      const listed = Object.entries(commands).map(async ([name, [summary, load]]) => ({
        summary,
        command: name === "completion" ? this : await load(),
      }));
      process.stdout.write(script(await Promise.all(listed)));
    },
  };
}

interface Listed {
  readonly summary: string;
  readonly command: Command;
}

const SCRIPTS: Readonly<Record<string, (commands: readonly Listed[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** Long and short spelling. */
function spellings(name: string, { short }: CommandOption): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

function bashScript(commands: readonly Listed[]): string {
  const names = commands.map(({ command }) => command.name);
  const pairs = names.filter(isPair);
  const cases = commands.flatMap(({ command }) => {
    const options = Object.entries(optionsOf(command));
    const values = options.flatMap(([name, option]) => {
      if (option.value === undefined) return [];
      const previous = spellings(name, option).map((flag) => `"${command.name}":${flag}`);
      const offered = option.choices ?? option.offers;
      return `    ${previous.join("|")}) ${offered ? `words="${offered.join(" ")}"` : option.path ? "files=1" : "return"} ;;`;
    });
    const flags = options.flatMap(([name, option]) => spellings(name, option)).join(" ");
    const rest = takesFiles(command) ? "files=1" : `words="${(command.words ?? []).join(" ")}"`;
    return [...values, `    "${command.name}":*) if [[ $cur == -* ]]; then words="${flags}"; else ${rest}; fi ;;`];
  });
  return `# Completion of ocellus for bash: source <(ocellus completion bash)
_ocellus() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words="" files=""
  COMPREPLY=()
  # Bash splits --option=value at the equals sign.
  if [[ $cur == "=" ]]; then cur=""; elif [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  if (( COMP_CWORD == 1 )); then
    words="${names.filter((name) => !isPair(name)).join(" ")} --help --version"
  else
    local command=\${COMP_WORDS[1]}
    if (( COMP_CWORD > 2 )); then
      case "$command \${COMP_WORDS[2]}" in ${pairs.map((name) => `"${name}"`).join("|")}) command+=" \${COMP_WORDS[2]}" ;; esac
    fi
    case "$command:$prev" in
${cases.map((line) => line).join("\n")}
    esac
  fi
  local IFS=$'\\n'
  if [[ -n $files ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
    compopt -o filenames 2>/dev/null
  else
    COMPREPLY=($(compgen -W "\${words// /$'\\n'}" -- "$cur"))
  fi
}
complete -F _ocellus ocellus
`;
}

function zshScript(commands: readonly Listed[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");
  const cases = commands.map(({ command }) => {
    const specs = Object.entries(optionsOf(command)).flatMap(([name, option]) => {
      const offered = option.choices ?? option.offers;
      const action = offered ? `(${offered.join(" ")})` : option.path ? "_files" : " ";
      const value = option.value === undefined ? "" : `:${escaped(option.value)}:${action}`;
      return spellings(name, option).map((flag) =>
        quoted(`${option.multiple ? "*" : ""}${flag}[${escaped(option.help)}]${value}`),
      );
    });
    const rest = takesFiles(command) ? "_files" : command.words ? `(${command.words.join(" ")})` : " ";
    return `    "${command.name}") _arguments -S ${[...specs, quoted(`*:argument:${rest}`)].join(" \\\n      ")} ;;`;
  });
  return `#compdef ocellus
# Completion of ocellus for zsh: source <(ocellus completion zsh), after compinit
_ocellus() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${commands
  .filter(({ command }) => !isPair(command.name))
  .map(({ command, summary }) => `      ${quoted(`${command.name}:${escaped(summary)}`)}`)
  .join("\n")}
    )
    _describe command commands
    return
  fi
  local command=\${words[2]}
  shift words
  (( CURRENT-- ))
  if (( CURRENT > 2 )); then
    case "$command \${words[2]}" in
      ${commands
        .map(({ command }) => command.name)
        .filter(isPair)
        .map((name) => `"${name}"`)
        .join("|")}) command+=" \${words[2]}"; shift words; (( CURRENT-- )) ;;
    esac
  fi
  case $command in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _ocellus ]]; then _ocellus "$@"; else compdef _ocellus ocellus; fi
`;
}

function fishScript(commands: readonly Listed[]): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const lines = commands.flatMap(({ command, summary }) => {
    const seen = command.name.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`);
    // `serve` may be the second word of another command.
    const others = commands.filter(({ command: { name } }) => name.endsWith(` ${command.name}`));
    const not = others.map(({ command: { name } }) => `not __fish_seen_subcommand_from ${name.split(" ")[0]}`);
    const within = `complete -c ocellus -n ${quoted([...seen, ...not].join("; and "))}`;
    const words = command.words ? [`${within} -a ${quoted(command.words.join(" "))}`] : [];
    const files = takesFiles(command) ? [`${within} -F`] : [];
    const options = Object.entries(optionsOf(command)).map(([name, option]) => {
      const short = option.short === undefined ? "" : ` -s ${option.short}`;
      const offered = option.choices ?? option.offers;
      const value =
        option.value === undefined
          ? ""
          : offered
            ? ` -x -a ${quoted(offered.join(" "))}`
            : option.path
              ? " -r -F"
              : " -x";
      return `${within}${short} -l ${name}${value} -d ${quoted(option.help)}`;
    });
    const first = `complete -c ocellus -n __fish_use_subcommand -a ${command.name} -d ${quoted(summary)}`;
    return [...(isPair(command.name) ? [] : [first]), ...words, ...files, ...options];
  });
  return `# Completion of ocellus for fish: ocellus completion fish | source
complete -c ocellus -f
complete -c ocellus -n __fish_use_subcommand -l help -d 'all commands'
complete -c ocellus -n __fish_use_subcommand -l version -d 'the version'
${lines.join("\n")}
`;
}

/** Whether a command has two words; the first is a command too, whose words have the second. */
function isPair(name: string): boolean {
  return name.includes(" ");
}

/** Whether positional arguments are files; a question may have any words. */
function takesFiles(command: Command): boolean {
  return command.positionalPaths ?? false;
}
