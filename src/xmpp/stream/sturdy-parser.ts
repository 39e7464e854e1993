import type { ParserConstructor } from '@xmpp/component';

/**
 * The library's parser, mended. Where `?` and `>` of the XML declaration come in two pieces, it
 * misses the end of the declaration and reads nothing more; so a `?` at the end waits for what
 * follows, and nothing that is complete ends with one. What it throws becomes its `error`. Behind
 * the end of the stream, or an error, nothing is read any more: nobody listens there.
 */
export function makeSturdy(Parser: ParserConstructor): ParserConstructor {
  return class extends Parser {
    #held = '';
    #isOver = false;

    constructor() {
      super();
      const end = (): void => {
        this.#isOver = true;
      };
      this.on('end', end);
      this.on('error', end);
    }

    override write(piece: string): void {
      if (this.#isOver) return;
      const text = this.#held + piece;
      this.#held = text.endsWith('?') ? '?' : '';
      try {
        super.write(text.slice(0, text.length - this.#held.length));
      } catch (error) {
        this.emit('error', error);
      }
    }
  };
}
