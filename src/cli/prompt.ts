import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { type Surroundings, UsageError } from './command.ts';

/** Asks questions on a terminal. An answer that is not UTF-8 is refused with a UsageError. */
export interface Prompt {
  /** Resolves with the line typed; rejects with NoAnswer. */
  readonly ask: (question: string) => Promise<string>;
  /** Like `ask`, without echo. */
  readonly askSecret: (question: string) => Promise<string>;
  /** Resolves with all lines typed before Ctrl-D; rejects with NoAnswer. */
  readonly askLines: (question: string) => Promise<string>;
  /** Releases the terminal. */
  readonly close: () => void;
}

/** The input ended (Ctrl-C, Ctrl-D) before there was an answer. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';

  constructor(question: string) {
    super(`expected an answer to "${question.trim()}", got none`);
  }
}

/** Opens a prompt. It asks on stderr, so that stdout contains only the command's output. */
export function openPrompt({ stdin, stderr }: Pick<Surroundings, 'stdin' | 'stderr'>): Prompt {
  let isHidden = true;
  // In terminal mode, readline echoes the typed characters to this output.
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      if (!isHidden) stderr.write(chunk);
      done();
    },
  });
  const terminal = createInterface({ input: stdin, output, terminal: true, historySize: 0 });
  const lines = terminal[Symbol.asyncIterator]();
  let isInterrupted = false;
  terminal.once('SIGINT', () => {
    isInterrupted = true;
    terminal.close();
  });
  const readLine = async (question: string): Promise<string> => {
    const line = await lines.next();
    if (isHidden || line.done === true) stderr.write('\n');
    if (line.done === true) throw new NoAnswer(question);
    return requireUtf8(line.value);
  };
  const show = (question: string): void => {
    isHidden = false;
    terminal.setPrompt(question);
    terminal.prompt();
  };
  const hide = (): void => {
    isHidden = true;
  };
  return {
    ask: (question) => {
      show(question);
      return readLine(question).finally(hide);
    },
    askSecret: (question) => {
      stderr.write(question);
      return readLine(question);
    },
    askLines: async (question) => {
      stderr.write(`${question}\n`);
      show('');
      const text: string[] = [];
      for await (const line of { [Symbol.asyncIterator]: () => lines })
        text.push(requireUtf8(line));
      hide();
      if (isInterrupted) throw new NoAnswer(question);
      return text.join('\n');
    },
    close: () => terminal.close(),
  };
}

/** Where bytes are not UTF-8, readline returns replacement characters. */
function requireUtf8(line: string): string {
  if (line.includes('\ufffd')) {
    throw new UsageError('expected an answer in UTF-8: change the encoding of the terminal');
  }
  return line;
}
