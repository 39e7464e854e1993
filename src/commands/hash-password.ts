import { isUtf8 } from 'node:buffer';
import { createInterface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';
import { hashPassword } from '../auth/password-hash.ts';

/** Where the command reads and writes. */
export interface HashPasswordStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable;
  readonly stderr: Writable;
}

const exitUsage = 64;
const maxBytes = 4096;

/**
 * Prints the PHC string of a password on stdout. On a terminal the password is asked for twice,
 * without echo; else it is the first line of stdin. Returns the exit code: 0, or 64 when there is
 * no usable password.
 */
export async function runHashPassword(streams: HashPasswordStreams): Promise<number> {
  const { stdin, stdout, stderr } = streams;
  try {
    const password = stdin.isTTY === true ? await askTwice(streams) : await readFirstLine(stdin);
    requireUsable(password);
    stdout.write(`${await hashPassword(password)}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof UnusablePassword)) throw error;
    stderr.write(`hash-password: ${error.message}\n`);
    return exitUsage;
  }
}

class UnusablePassword extends Error {}

function requireUsable(password: string): void {
  if (password === '') throw new UnusablePassword('expected a password, got an empty one');
  // HTTP Basic cannot carry them (RFC 7617 §2).
  if (/[\u0000-\u001f\u007f-\u009f]/.test(password)) {
    throw new UnusablePassword('expected a password without control characters');
  }
}

async function askTwice({ stdin, stderr }: HashPasswordStreams): Promise<string> {
  // In terminal mode readline echoes to its output what is typed: give it one that shows nothing.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: stdin, output, terminal: true, historySize: 0 });
  const lines = terminal[Symbol.asyncIterator]();
  const ask = async (prompt: string): Promise<string> => {
    stderr.write(prompt);
    const line = await lines.next();
    stderr.write('\n');
    if (line.done === true) throw new UnusablePassword('expected a password, got none');
    return line.value;
  };
  try {
    const password = await ask('Password: ');
    if ((await ask('The same again: ')) !== password) {
      throw new UnusablePassword('expected the same password twice, got two different ones');
    }
    return password;
  } finally {
    terminal.close();
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
  if (line.length > maxBytes) throw new UnusablePassword(`expected at most ${maxBytes} bytes`);
  if (!isUtf8(line)) throw new UnusablePassword('expected a password in UTF-8');
  return line.toString('utf8').replace(/\r$/, '');
}
