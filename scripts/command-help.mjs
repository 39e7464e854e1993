// Makes the manual page and the completions of the Debian package from the help of the commands.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const program = 'xmpp-message-gateway';

function runHelp(...command) {
  const { status, stdout } = spawnSync('node', ['dist/main.js', ...command, '--help'], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${command.join(' ')} --help ended with ${status}`);
  return stdout;
}

/** Parses `  -c, --config FILE  the configuration`, with the lines that continue it. */
function parseOptions(help) {
  const rows = help.matchAll(
    /^ {2}(?:-(\w), | {4})--([\w-]+)(?: ([A-Z]+))? {2,}(.*(?:\n {10,}.*)*)$/gm,
  );
  return [...rows].map(([, letter, name, value, text]) => ({
    names: [`--${name}`, ...(letter === undefined ? [] : [`-${letter}`])],
    value,
    text: text.replaceAll(/\s+/g, ' '),
  }));
}

/** Asks the built gateway for its commands: their names, summaries, help and options. */
export function readCommands() {
  const overview = runHelp();
  const rows = overview.matchAll(/^ {2}xmpp-message-gateway \[?([a-z-]+).*\n {6}(.*)$/gm);
  const commands = [...rows].map(([, name, summary]) => {
    const help = runHelp(name);
    return { name, summary, help, options: parseOptions(help) };
  });
  return { overview, commands };
}

function indent(text) {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}

/** Builds the source of the manual page, in Markdown, of docs/commands.md and the help of each command. */
export function buildManualSource({ overview, commands }) {
  const page = readFileSync('docs/commands.md', 'utf8')
    .replace(/^# .*\n/, '# DESCRIPTION\n')
    .replaceAll(/^##(#*) /gm, '#$1 ')
    .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1');
  const options = commands.map(({ name, help }) => `## ${name}\n\n${indent(help)}\n`);
  return `# NAME

${program} - send XMPP messages over HTTP

# SYNOPSIS

${indent(overview.replace(/^Usage:\n/, ''))}

${page}
# OPTIONS

${options.join('\n')}
# FILES

/etc/${program}/gateway.yaml, component.secret
: the configuration of the service; /usr/share/doc/${program}/docs/configuration.md lists all keys

/var/lib/${program}
: what the service keeps
`;
}

function caseOf({ name, options }) {
  const words = options.flatMap(({ names }) => names);
  return `    ${name}) words='${[...words, '--help'].join(' ')}' ;;`;
}

/** The pattern of `case` that matches these options. */
function patternOf(options) {
  return [...new Set(options.flatMap(({ names }) => names))].join(' | ');
}

/** Builds the completion for bash. */
export function buildBashCompletion({ commands }) {
  const valued = commands.flatMap(({ options }) => options.filter(({ value }) => value));
  const files = patternOf(valued.filter(({ value }) => value === 'FILE'));
  const others = patternOf(valued.filter(({ value }) => value !== 'FILE'));
  return `# Made from the --help of the commands.
_${program.replaceAll('-', '_')}() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=
  case \${COMP_WORDS[COMP_CWORD - 1]} in
    ${files}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    ${others}) return ;;
  esac
  case $COMP_CWORD:\${COMP_WORDS[1]} in
    1:*) words='${[...commands.map(({ name }) => name), '--help', '--version'].join(' ')}' ;;
${commands
  .map(caseOf)
  .map((line) => line.replace(/^ {4}/, '    *:'))
  .join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _${program.replaceAll('-', '_')} ${program}
`;
}

function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function argumentsOf({ names, value, text }) {
  // In _arguments a colon and a bracket end the description.
  const description = `[${text.replaceAll(/[[\]:\\]/g, '\\$&')}]`;
  const action = value === 'FILE' ? ':file:_files' : value === undefined ? '' : `:${value}:`;
  const repeated = /several|repeat/.test(text) ? '*' : '';
  return names.map((name) => quote(`${repeated}${name}${description}${action}`));
}

/** Builds the completion for zsh. */
export function buildZshCompletion({ commands }) {
  const listed = commands.map(({ name, summary }) => quote(`${name}:${summary}`));
  const cases = commands.map(({ name, options }) => {
    const lines = ['_arguments', ...options.flatMap(argumentsOf), `'--help[show its help]'`];
    return `  ${name}) ${lines.join(' \\\n    ')} ;;`;
  });
  return `#compdef ${program}
# Made from the --help of the commands.
local -a commands=(
  ${listed.join('\n  ')}
)
if (( CURRENT == 2 )); then
  _describe command commands
  return
fi
shift words
(( CURRENT-- ))
case $words[1] in
${cases.join('\n')}
esac
`;
}
