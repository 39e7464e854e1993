import type { ParserConstructor } from '@xmpp/component';

/**
 * The library's parser, mended: where `?` and `>` of the XML declaration come in two pieces, it
 * misses the end of the declaration and reads nothing more. So a `?` at the end waits for what
 * follows; nothing that is complete ends with one.
 */
export function withWholeDeclaration(Parser: ParserConstructor): ParserConstructor {
  return class extends Parser {
    #held = '';

    override write(piece: string): void {
      const text = this.#held + piece;
      this.#held = text.endsWith('?') ? '?' : '';
      super.write(text.slice(0, text.length - this.#held.length));
    }
  };
}
