import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Jid } from '../../core/jid/jid.ts';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import { buildModuleQuery, readModule } from '../wire/domain-features.ts';
import { overloaded } from '../wire/outcome.ts';
import { buildRoomQuery, isRoom, isRoomWithout } from './stanzas.ts';

/** How many domains are remembered at most, and how many are asked at the same time. */
const maxDomains = 1000;

/** How many messages may wait to learn whether they go to a room: nothing else bounds their memory. */
const maxWaiting = 256;

/** How long such a message waits for its recipient's domain. */
const answerMs = 2000;

/** How long the answer of a domain holds, and how long its silence. */
const [answeredMs, silentMs] = [60 * 60 * 1000, 60 * 1000];

/** Asks domains about their rooms: whether they have any, and whether users must join to speak there. */
export class RoomHosts {
  readonly #stream: StreamHandle;
  readonly #component: string;
  readonly #served: ReadonlySet<string>;
  /** A served domain, because those answer pings. */
  readonly #barrierDomain: string;
  readonly #needNoJoin = new LRUCache<string, Promise<boolean>>({ max: maxDomains });
  readonly #haveRooms = new LRUCache<string, Promise<boolean>>({
    max: maxDomains,
    perf: performance,
  });
  /** Settles each question that has no answer yet. */
  readonly #asked = new Set<(answer: boolean) => void>();
  #waiting = 0;

  constructor(options: {
    readonly stream: StreamHandle;
    readonly component: string;
    /** The domains served. */
    readonly domains: readonly string[];
  }) {
    const { stream, component, domains } = options;
    this.#stream = stream;
    this.#component = component;
    this.#served = new Set(domains);
    this.#barrierDomain = domains[0] ?? component;
  }

  /**
   * Whether this is the bare JID of a room: one of a domain that says within two seconds that it has
   * rooms. Served domains are not asked. Rejects with GatewayError `overloaded`.
   */
  async isRoom({ local, domain, resource }: Jid): Promise<boolean> {
    if (local === undefined || resource !== undefined || this.#served.has(domain)) return false;
    if (this.#waiting >= maxWaiting) throw overloaded('too many rooms are being looked up');
    this.#waiting += 1;
    const answer = this.#remember(this.#haveRooms, domain, () => this.#askService(local, domain));
    return answer.finally(() => {
      this.#waiting -= 1;
    });
  }

  /** Whether the server's module lets users speak in the rooms of the domain without joining. */
  speakWithoutJoining(domain: string): Promise<boolean> {
    return this.#remember(this.#needNoJoin, domain, () => this.#askModule(domain));
  }

  /** Forgets everything: the answers need not hold on another stream. */
  handleClose(): void {
    this.#needNoJoin.clear();
    this.#haveRooms.clear();
    for (const settle of this.#asked) settle(false);
  }

  #remember(
    known: LRUCache<string, Promise<boolean>>,
    domain: string,
    ask: () => Promise<boolean>,
  ): Promise<boolean> {
    const found = known.get(domain);
    if (found !== undefined) return found;
    const asked = ask();
    if (this.#stream.isOpen()) known.set(domain, asked, { ttl: answeredMs });
    return asked;
  }

  /**
   * Asks the domain what it is (XEP-0045 §6.1), and the room about an occupant that it cannot have:
   * ejabberd with mod_privilege drops the first question, a component's to a bare domain.
   */
  #askService(local: string, domain: string): Promise<boolean> {
    return this.#ask((id, settle) => {
      const occupant = `${local}@${domain}/${id}`;
      const handleSilence = (): void => {
        if (!this.#asked.has(settle)) return;
        settle(false);
        this.#haveRooms.set(domain, Promise.resolve(false), { ttl: silentMs });
      };
      const deadline = setTimeout(handleSilence, answerMs).unref();
      this.#stream.expect(id, (stanza) => {
        const { from, type } = stanza.attrs;
        const isFromRoom = from === occupant && isRoomWithout(stanza);
        if (from !== domain && !isFromRoom) return;
        clearTimeout(deadline);
        if (isFromRoom || type === 'result') settle(isFromRoom || isRoom(stanza));
        else handleSilence();
      });
      this.#stream.write(
        buildRoomQuery(id, this.#component, domain) + buildRoomQuery(id, this.#component, occupant),
      );
    });
  }

  /**
   * Asks a domain for the module, and then pings a served domain: our own server answers in order, so the
   * answer of its module comes first. A later one is from a foreign server, which cannot speak for ours.
   */
  #askModule(domain: string): Promise<boolean> {
    return this.#ask((id, settle) => {
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

  /** Puts a question with an unguessable id; the answer is no while there is no stream. */
  #ask(put: (id: string, settle: (answer: boolean) => void) => void): Promise<boolean> {
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
      put(id, settle);
    });
  }
}
