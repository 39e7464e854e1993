import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Command,
  parseOptions,
  requireOption,
  type Surroundings,
  UsageError,
} from '../command.ts';
import { openPrompt } from '../prompt.ts';
import {
  attemptPost,
  combineOutcomes,
  exitCodes,
  type Outcome,
  type SendAttempt,
} from './outcome.ts';
import { buildSendRequest, type SendOptions, type SendRequest } from './request.ts';

const passwordVariable = 'XMPP_GATEWAY_PASSWORD';

/** `send` */
export const sendCommand: Command = {
  synopsis: 'send --url URL --user USER [--from JID] --to JID [option…] [text…]',
  summary: 'send a message through a running gateway',
  help: `Sends the text, or what stdin has, and waits until the XMPP server has processed it.
Prints the id of the message. The password comes from ${passwordVariable}, or is
asked for on a terminal.

      --url URL              the gateway, such as http://127.0.0.1:8080
      --user USER            an XMPP user (localpart or bare JID); with --from an API account
      --from JID             speak as this user: bare JID, or localpart with --domain
      --domain DOMAIN        of the sender, when neither --from nor --user has it
      --to JID               recipient: user, room or domain
      --type TYPE            chat (default), normal, headline or groupchat
      --subject TEXT
      --id ID                id of the message; default: one that the gateway makes up
      --idempotency-key KEY  default: a new one; the same in all tries
      --timeout SECONDS      how long to try, default 60
      --json                 print the answer instead of the id

While the answer is 429, 503, 504, 409 idempotency-in-progress, 502 of a proxy or none,
the same message is sent again, as often as it takes; the key makes sure that it is sent
once, or after 504 can be told apart.

Exit codes: 0 confirmed; 1 refused or bounced; 64 wrong usage; 75 nothing was sent, try
later; 76 it may have been sent, nobody knows; 77 wrong credentials or no permission.
`,
  run: async (args, surroundings) => {
    const options = readOptions(args);
    const { password, text } = await complete(options, surroundings);
    if (text === '') throw new UsageError('expected a text, got none');
    const headers = {
      Authorization: `Basic ${Buffer.from(`${options.user}:${password}`).toString('base64')}`,
      'Idempotency-Key': options.key,
    };
    const request = buildSendRequest({ ...options, text });
    const { outcome, last } = await tryUntil(request, headers, options.timeoutMs, surroundings);
    report(outcome, last, options, surroundings);
    return exitCodes[outcome];
  },
};

interface Options extends Omit<SendOptions, 'text'> {
  readonly key: string;
  readonly timeoutMs: number;
  readonly isJson: boolean;
  /** Undefined when it is to be read from stdin. */
  readonly text: string | undefined;
}

function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseOptions(args, {
    url: { type: 'string' },
    user: { type: 'string' },
    from: { type: 'string' },
    domain: { type: 'string' },
    to: { type: 'string' },
    type: { type: 'string' },
    subject: { type: 'string' },
    id: { type: 'string' },
    'idempotency-key': { type: 'string' },
    timeout: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
  });
  const options = {
    url: requireOption(values.url, '--url URL'),
    user: requireOption(values.user, '--user USER'),
    from: values.from,
    domain: values.domain,
    to: requireOption(values.to, '--to JID'),
    type: values.type,
    subject: values.subject,
    id: values.id,
    key: readKey(values['idempotency-key']),
    timeoutMs: readTimeout(values.timeout),
    isJson: values.json,
    text: positionals.length === 0 ? undefined : positionals.join(' '),
  };
  // What is wrong with it should be said before a password is asked for.
  buildSendRequest({ ...options, text: '' });
  return options;
}

function readKey(key: string | undefined): string {
  if (key === undefined) return randomUUID();
  if (/^[!-~]{1,255}$/.test(key)) return key;
  throw new UsageError('expected 1 to 255 visible ASCII characters as --idempotency-key');
}

function readTimeout(text: string): number {
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= 86_400) return seconds * 1000;
  throw new UsageError(`expected --timeout 1 to 86400, got ${JSON.stringify(text)}`);
}

/** What the arguments leave open; only a terminal can be asked for a password. */
async function complete(
  { text }: Options,
  surroundings: Surroundings,
): Promise<{ password: string; text: string }> {
  const { stdin, env } = surroundings;
  const password = env[passwordVariable] || undefined;
  if (stdin.isTTY !== true) {
    if (password === undefined) {
      throw new UsageError(`${passwordVariable} is not set, and there is no terminal to ask on`);
    }
    return { password, text: text ?? (await readMessageText(stdin)) };
  }
  const prompt = openPrompt(surroundings);
  try {
    return {
      password: password ?? (await prompt.askSecret('Password: ')),
      text: text ?? (await prompt.askLines('Message, then Ctrl-D:')),
    };
  } finally {
    prompt.close();
  }
}

/** The largest body that a gateway can be configured for. */
const maxTextBytes = 67_108_864;

async function readMessageText(stdin: Surroundings['stdin']): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxTextBytes) throw new UsageError(`expected at most ${maxTextBytes} bytes`);
    chunks.push(bytes);
  }
  const read = Buffer.concat(chunks);
  if (!isUtf8(read)) throw new UsageError('expected a text in UTF-8');
  return read.toString('utf8').replace(/\r?\n$/, '');
}

const [firstPauseMs, longestPauseMs] = [1000, 10_000];

/** Posts until the fate of the message is known, no retry helps, or the time is up. */
async function tryUntil(
  request: SendRequest,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
  { stderr }: Surroundings,
): Promise<{ outcome: Outcome; last: SendAttempt }> {
  const deadline = performance.now() + timeoutMs;
  const outcomes: Outcome[] = [];
  let said = '';
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const leftMs = Math.max(1, Math.ceil(deadline - performance.now()));
    const last = await attemptPost(request, headers, leftMs);
    outcomes.push(last.outcome);
    const waitMs = Math.max(last.retryAfterMs ?? pauseMs, firstPauseMs);
    if (!last.mayRetry || performance.now() + waitMs >= deadline) {
      return { outcome: combineOutcomes(outcomes), last };
    }
    if (last.reason !== said) stderr.write(`${last.reason}\n`);
    said = last.reason;
    stderr.write(`Trying again in ${waitMs / 1000} s.\n`);
    await sleep(waitMs);
  }
}

function report(
  outcome: Outcome,
  { answer, fields, reason, details }: SendAttempt,
  { isJson, key }: Options,
  { stdout, stderr }: Surroundings,
): void {
  if (isJson && answer !== undefined) stdout.write(`${answer}\n`);
  if (outcome === 'confirmed') {
    if (!isJson) stdout.write(`${String(fields['id'])}\n`);
    return;
  }
  stderr.write([reason, ...details, ''].join('\n'));
  if (outcome === 'unavailable') stderr.write('Nothing was sent: try again later.\n');
  if (outcome === 'unknown') {
    stderr.write(
      `The message may have arrived. To send the same again: --idempotency-key ${key}\n`,
    );
  }
}
