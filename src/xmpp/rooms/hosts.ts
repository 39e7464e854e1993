import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import { buildModuleQuery, readModule } from '../wire/domain-features.ts';

/** How many domains are remembered at most, and how many are asked at the same time. */
const maxDomains = 1000;

/**
 * Finds out in whose rooms users may speak without joining. It asks a domain for the module, and then
 * pings a served domain: our own server answers in order, so the answer of its module comes first. A
 * later one is from a foreign server, which cannot speak for ours.
 */
export class RoomHosts {
  readonly #stream: StreamHandle;
  readonly #component: string;
  /** A served domain, because those answer pings. */
  readonly #barrierDomain: string;
  readonly #known = new LRUCache<string, Promise<boolean>>({ max: maxDomains });
  /** Settles each question that has no answer yet. */
  readonly #asked = new Set<(answer: boolean) => void>();

  constructor(options: {
    readonly stream: StreamHandle;
    readonly component: string;
    readonly barrierDomain: string;
  }) {
    this.#stream = options.stream;
    this.#component = options.component;
    this.#barrierDomain = options.barrierDomain;
  }

  /** Whether the server's module lets users speak in the rooms of the domain without joining. */
  speakWithoutJoining(domain: string): Promise<boolean> {
    const found = this.#known.get(domain);
    if (found !== undefined) return found;
    const asked = this.#ask(domain);
    if (this.#stream.isOpen()) this.#known.set(domain, asked);
    return asked;
  }

  /** Forgets everything: the answers need not hold on another stream. */
  handleClose(): void {
    this.#known.clear();
    for (const settle of this.#asked) settle(false);
  }

  #ask(domain: string): Promise<boolean> {
    return new Promise((resolve) => {
      if (!this.#stream.isOpen() || this.#asked.size >= maxDomains) {
        resolve(false);
        return;
      }
      const id = `rooms-${randomBytes(12).toString('hex')}`;
      const settle = (answer: boolean): void => {
        this.#asked.delete(settle);
        this.#stream.forget(id);
        resolve(answer);
      };
      this.#asked.add(settle);
      this.#stream.expect(id, (stanza) => {
        if (readBarrierAnswer('ping', stanza, this.#component, this.#barrierDomain)) settle(false);
        else if (stanza.attrs['from'] === domain) {
          settle(readModule(stanza)?.speaksInRooms ?? false);
        }
      });
      this.#stream.write(
        buildModuleQuery(id, this.#component, escapeAttribute(domain)) +
          buildBarrier('ping', id, this.#component, this.#barrierDomain),
      );
    });
  }
}
