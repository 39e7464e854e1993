import { inspect } from 'node:util';

/** A text that never shows in logs, JSON or error messages: it prints as `<secret>`. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself; call it only where the secret is used. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return '<secret>';
  }

  toJSON(): string {
    return '<secret>';
  }

  [inspect.custom](): string {
    return '<secret>';
  }
}
