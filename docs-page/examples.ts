import {
  buildHeaders,
  buildMessage,
  buildPath,
  type FormValues,
  findGaps,
} from './message-request.ts';

/** How the message that was filled in is sent from elsewhere. */
export interface Example {
  /** The code; each placeholder is between `gapStart` and `gapEnd`. */
  readonly code: string;
  readonly hint: string;
}

/** They enclose a placeholder: noncharacters (Unicode §23.7), which nobody types. */
export const gapStart = '\uFDD0';
export const gapEnd = '\uFDD1';

const placeholders = [
  ['login', 'USER'],
  ['domain', 'DOMAIN'],
  ['sender', 'SENDER'],
  ['to', 'RECIPIENT'],
  ['body', 'TEXT'],
] as const;

/** Puts placeholders where something has to be filled in. */
function fillGaps(values: FormValues): FormValues {
  const gaps = findGaps(values);
  const filled = placeholders
    .filter(([name]) => gaps[name] !== undefined)
    .map(([name, placeholder]) => [name, `${gapStart}${placeholder}${gapEnd}`]);
  return { ...values, ...Object.fromEntries(filled) };
}

function isGap(text: string): boolean {
  return text.startsWith(gapStart);
}

const environmentHint = 'The password is in the environment variable XMPP_GATEWAY_PASSWORD.';

/** The examples, by language. */
const builders = {
  curl: (values: FormValues, base: string): Example => ({
    code: buildCurl(values, base),
    hint: 'curl asks for the password.',
  }),
  send: buildSend,
  python: (values: FormValues, base: string): Example => ({
    code: buildPython(values, base),
    hint: `Python 3.8 or newer, no packages. ${environmentHint}`,
  }),
  node: (values: FormValues, base: string): Example => ({
    code: buildNode(values, base),
    hint: `Save it as send.mjs and run node send.mjs. ${environmentHint}`,
  }),
} as const;

/** In which languages there are examples. */
export type Language = keyof typeof builders;

/** Whether there are examples in a language of this name. */
export function isLanguage(name: string): name is Language {
  return Object.hasOwn(builders, name);
}

/** The example for what was filled in; `base` is the URL of the gateway, with a slash at the end. */
export function buildExample(language: Language, values: FormValues, base: string): Example {
  return builders[language](fillGaps(values), base);
}

function buildUrl(values: FormValues, base: string): string {
  return base + buildPath(values, (part) => (isGap(part) ? part : encodeURIComponent(part)));
}

function buildCurl(values: FormValues, base: string): string {
  const message = buildMessage(values);
  // Only JSON has a field for other elements.
  const isForm = values.extra === '';
  const { 'Content-Type': type, ...others } = buildHeaders('application/json', values);
  const headers = Object.entries(isForm ? others : { 'Content-Type': type, ...others });
  const data = isForm
    ? Object.entries(message).map(([name, value]) => ['--data-urlencode', `${name}=${value}`])
    : [['-d', JSON.stringify(message)]];
  return joinWords([
    ['curl', '-u', values.login],
    ...headers.map(([name, value]) => ['-H', `${name}: ${value}`]),
    ...data,
    [buildUrl(values, base)],
  ]);
}

function buildSend(values: FormValues, base: string): Example {
  const { account, login, domain, sender, to, body, subject, type, id, extra, key } = values;
  if (extra !== '') {
    const hint =
      'The command has no option for extra elements: empty that field, or use another way.';
    return { code: '', hint };
  }
  if (body === '') return { code: '', hint: 'The command sends a text: fill in “Text”.' };
  const user = account === 'user' && !login.includes('@') ? `${login}@${domain}` : login;
  const options = {
    url: base.replace(/\/$/, ''),
    user,
    from: account === 'api' ? `${sender}@${domain}` : '',
    to,
    subject,
    type,
    id,
    'idempotency-key': key,
  };
  const words = Object.entries(options)
    .filter(([, value]) => value !== '')
    // Otherwise a value that begins with a hyphen would be read as an option.
    .map(([name, value]) =>
      value.startsWith('-') ? [`--${name}=${value}`] : [`--${name}`, value],
    );
  return {
    code: joinWords([
      ['xmpp-message-gateway', 'send'],
      ...words,
      body.startsWith('-') ? ['--', body] : [body],
    ]),
    hint: 'The command asks for the password, and tries again until the message is sent. In a clone, write node dist/main.js in place of xmpp-message-gateway.',
  };
}

function buildPython(values: FormValues, base: string): string {
  const headers = { Authorization: '', ...buildHeaders('application/json', values) };
  return `import base64, json, os, sys, urllib.error, urllib.request

login = ${JSON.stringify(`${values.login}:`)} + os.environ["XMPP_GATEWAY_PASSWORD"]
request = urllib.request.Request(
    ${JSON.stringify(buildUrl(values, base))},
    data=json.dumps(${buildObject(buildMessage(values), 4)}).encode(),
    headers=${buildObject(headers, 4, '"Basic " + base64.b64encode(login.encode()).decode()')},
)
try:
    with urllib.request.urlopen(request) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())`;
}

function buildNode(values: FormValues, base: string): string {
  const headers = { Authorization: '', ...buildHeaders('application/json', values) };
  return `const login = ${JSON.stringify(`${values.login}:`)} + process.env.XMPP_GATEWAY_PASSWORD;
const answer = await fetch(${JSON.stringify(buildUrl(values, base))}, {
  method: "POST",
  headers: ${buildObject(headers, 2, '"Basic " + Buffer.from(login).toString("base64")')},
  body: JSON.stringify(${buildObject(buildMessage(values), 2)}),
});
console.log(answer.status, await answer.text());`;
}

/** An object of strings, as Python and JavaScript both read it; an empty value is the expression. */
function buildObject(
  values: Readonly<Record<string, string>>,
  indent: number,
  expression = '""',
): string {
  const lines = Object.entries(values).map(([name, value]) => {
    const text = value === '' ? expression : JSON.stringify(value);
    return `${' '.repeat(indent * 2)}${JSON.stringify(name)}: ${text},\n`;
  });
  return `{\n${lines.join('')}${' '.repeat(indent)}}`;
}

function joinWords(lines: readonly (readonly string[])[]): string {
  return lines.map((words) => words.map(quote).join(' ')).join(' \\\n  ');
}

/** A word of a POSIX shell. */
function quote(word: string): string {
  if (/^[\w@%+=:,./\uFDD0\uFDD1-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
