import { randomUUID } from 'node:crypto';
import { parseOptions, requireOption, UsageError } from '../command.ts';
import type { BulkOptions } from './bulk.ts';
import type { SendOptions } from './request.ts';

/** What one message and a file of messages have in common. */
export interface CommonOptions {
  /** The settings that are given as options. */
  readonly given: Partial<Record<'url' | 'user' | 'from' | 'domain', string | undefined>>;
  /** The file for the other settings, if it is named. */
  readonly file: string | undefined;
  readonly key: string;
  readonly timeoutMs: number;
  readonly isJson: boolean;
}

/** The options for one message. */
export interface Options
  extends CommonOptions,
    Pick<SendOptions, 'to' | 'type' | 'subject' | 'id'> {
  /** How long to wait for a receipt of the recipient's client. */
  readonly waitSeconds: number | undefined;
  /** Undefined if the text is to be read from stdin. */
  readonly text: string | undefined;
}

/** Reads the options of `send`; throws UsageError. */
export function readOptions(args: readonly string[]): Options | (CommonOptions & BulkOptions) {
  const { values, positionals } = parse(args);
  const { url, user, from, domain, to, type, subject, id, wait, bulk, rejects, skip } = values;
  refuseOtherEncodings({
    '--to': to ?? [],
    '--user': [user],
    '--from': [from],
    '--domain': [domain],
    '--subject': [subject],
    '--id': [id],
    'a text': positionals,
  });
  const common = {
    given: { url, user, from, domain },
    file: values.config,
    key: readKey(values['idempotency-key']),
    timeoutMs: readTimeout(values.timeout),
    isJson: values.json,
  };
  if (bulk !== undefined) {
    const given = ['to', 'type', 'subject', 'id', 'wait'].find((name) =>
      Object.hasOwn(values, name),
    );
    if (given !== undefined || positionals.length > 0) {
      const what = given === undefined ? 'a text' : `--${given}`;
      throw new UsageError(
        `expected --bulk or ${what}, got both: each line of the file has its own`,
      );
    }
    const isKeyGiven = values['idempotency-key'] !== undefined;
    return { ...common, bulk, rejects, skip: readSkip(skip ?? '0'), isKeyGiven };
  }
  const lone = rejects === undefined ? skip && '--skip' : '--rejects';
  if (lone !== undefined) throw new UsageError(`expected ${lone} only with --bulk`);
  return {
    ...common,
    to: requireOption(to, '--to JID'),
    type,
    subject,
    id,
    waitSeconds: wait === undefined ? undefined : readWait(wait),
    text: positionals.length === 0 ? undefined : positionals.join(' '),
  };
}

function parse(args: readonly string[]) {
  return parseOptions(
    args,
    {
      url: { type: 'string' },
      user: { type: 'string' },
      from: { type: 'string' },
      domain: { type: 'string' },
      config: { type: 'string', short: 'c' },
      to: { type: 'string', multiple: true },
      type: { type: 'string' },
      subject: { type: 'string' },
      id: { type: 'string' },
      'idempotency-key': { type: 'string' },
      timeout: { type: 'string', default: '60' },
      json: { type: 'boolean', default: false },
      wait: { type: 'string' },
      bulk: { type: 'string' },
      rejects: { type: 'string' },
      skip: { type: 'string' },
    },
    'put -- before a text that begins with -',
  );
}

/** The error for a text that is not UTF-8, with the way out for the most frequent other encoding. */
export function notUtf8(what: string): UsageError {
  return new UsageError(
    `expected ${what} in UTF-8, got another encoding (iconv -f latin1 -t utf-8)`,
  );
}

/** Throws a UsageError if Node has put U+FFFD in the place of bytes that are not UTF-8. */
function refuseOtherEncodings(texts: Readonly<Record<string, readonly unknown[]>>): void {
  const found = Object.entries(texts).find(([, values]) => values.join(' ').includes('\ufffd'));
  if (found !== undefined) throw notUtf8(found[0]);
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

function readWait(text: string): number {
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= 60) return seconds;
  throw new UsageError(`expected --wait 1 to 60, got ${JSON.stringify(text)}`);
}

function readSkip(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`expected a number of lines as --skip, got ${JSON.stringify(text)}`);
}
