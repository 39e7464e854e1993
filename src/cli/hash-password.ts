import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { hashPassword } from '../auth/password-hash.ts';
import {
  type Command,
  exitUsage,
  parseOptions,
  refuseOperands,
  type Surroundings,
  UsageError,
} from './command.ts';
import { NoAnswer, openPrompt } from './prompt.ts';

export type HashPasswordStreams = Pick<Surroundings, 'stdin' | 'stdout' | 'stderr'>;

const maxBytes = 4096;

/** `hash-password` */
export const hashPasswordCommand: Command = {
  synopsis: 'hash-password',
  summary: 'turn a password into a password_hash',
  help: `Prints the hash of a password, for the key password_hash of an API account.
On a terminal it asks for the password twice; otherwise it reads the first line of stdin.
`,
  run: (args, surroundings) => {
    refuseOperands(parseOptions(args, {}).positionals);
    return runHashPassword(surroundings);
  },
};

/**
 * Prints the PHC string of a password. On a terminal it asks for the password twice, without echo;
 * otherwise it reads the first line of stdin. Resolves with the exit code: 0, or 64 without a usable
 * password.
 */
export async function runHashPassword(streams: HashPasswordStreams): Promise<number> {
  const { stdin, stdout, stderr } = streams;
  try {
    const password = stdin.isTTY === true ? await askTwice(streams) : await readFirstLine(stdin);
    requireUsable(password);
    stdout.write(`${await hashPassword(password)}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof NoAnswer)) throw error;
    stderr.write(`hash-password: ${error.message}\n`);
    return exitUsage;
  }
}

function requireUsable(password: string): void {
  if (password === '') throw new UsageError('expected a password, got an empty one');
  // HTTP Basic cannot carry control characters (RFC 7617 §2).
  if (/[\u0000-\u001f\u007f-\u009f]/.test(password)) {
    throw new UsageError('expected a password without control characters');
  }
}

async function askTwice(streams: HashPasswordStreams): Promise<string> {
  const prompt = openPrompt(streams);
  try {
    const password = await prompt.askSecret('Password: ');
    if ((await prompt.askSecret('Repeat the password: ')) !== password) {
      throw new UsageError('expected the same password twice, got two different ones');
    }
    return password;
  } finally {
    prompt.close();
  }
}

async function readFirstLine(stdin: Readable): Promise<string> {
  let read = Buffer.alloc(0);
  for await (const chunk of stdin) {
    read = Buffer.concat([read, Buffer.from(chunk)]);
    if (read.includes('\n') || read.length > maxBytes) break;
  }
  const end = read.indexOf('\n');
  const line = end === -1 ? read : read.subarray(0, end);
  if (line.length > maxBytes) throw new UsageError(`expected at most ${maxBytes} bytes`);
  if (!isUtf8(line)) throw new UsageError('expected a password in UTF-8');
  return line.toString('utf8').replace(/^\ufeff|\r$/g, '');
}
