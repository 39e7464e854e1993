import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Jid } from '../../core/jid/jid.ts';
import type { Message } from '../../core/message/message.ts';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import { buildModuleQuery, readModule } from '../wire/domain-features.ts';
import { buildRoomQuery, hasRooms, isRoomWithout } from './stanzas.ts';

/** How many domains are remembered at most, and how many questions may be open at the same time. */
const maxDomains = 1000;

/** How many messages of a caller may wait to learn whether they go to a room: nothing else bounds them. */
const maxWaitingPerCaller = 256;

/** How long such a message waits for its recipient's domain. */
const answerMs = 2000;

/** How long the answer of a domain holds, and how long its silence. */
const [answeredMs, silentMs] = [60 * 60 * 1000, 5 * 60 * 1000];

type Known = LRUCache<string, Promise<boolean>>;

/** Asks domains about their rooms: whether they have any, and whether users must join to speak there. */
export class RoomHosts {
  readonly #stream: StreamHandle;
  readonly #component: string;
  readonly #served: ReadonlySet<string>;
  /** A served domain, because those answer pings. */
  readonly #barrierDomain: string;
  readonly #needNoJoin: Known = new LRUCache({ max: maxDomains });
  /** Domains, and rooms of domains that do not answer for themselves. */
  readonly #rooms: Known = new LRUCache({ max: maxDomains, perf: performance });
  /** Settles each question that has no answer yet. */
  readonly #asked = new Set<(answer: boolean) => void>();
  readonly #waiting = new Map<string, number>();

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
   * Whether a message is for the bare JID of a room: its domain says so within two seconds. Served
   * domains are not asked, and nobody is while the caller has too many messages waiting for that.
   */
  isForRoom({ to, caller }: Pick<Message, 'to' | 'caller'>): boolean | Promise<boolean> {
    const { local, domain, resource } = to;
    if (local === undefined || resource !== undefined || this.#served.has(domain)) return false;
    return this.#waitForRoom(to, caller);
  }

  async #waitForRoom(to: Jid, caller: string): Promise<boolean> {
    const waiting = this.#waiting.get(caller) ?? 0;
    if (waiting >= maxWaitingPerCaller) return false;
    this.#waiting.set(caller, waiting + 1);
    try {
      return await this.#findRoom(to);
    } finally {
      if (this.#waiting.get(caller) === 1) this.#waiting.delete(caller);
      else this.#waiting.set(caller, (this.#waiting.get(caller) ?? 0) - 1);
    }
  }

  async #findRoom(room: Jid): Promise<boolean> {
    const { domain } = room;
    const known = this.#rooms.get(room.toString()) ?? this.#rooms.get(domain);
    if (known !== undefined) return known;
    if (!this.#mayAsk()) return false;
    const asked = this.#askService(room);
    this.#rooms.set(domain, asked, { ttl: answeredMs });
    return asked;
  }

  /** Whether the server's module lets users speak in the rooms of the domain without joining. */
  async speakWithoutJoining(domain: string): Promise<boolean> {
    const found = this.#needNoJoin.get(domain);
    if (found !== undefined) return found;
    if (!this.#mayAsk()) return false;
    const asked = this.#askModule(domain);
    this.#needNoJoin.set(domain, asked);
    return asked;
  }

  /** The module may have been set up anew. */
  handleModes(): void {
    this.#needNoJoin.clear();
  }

  /** Forgets everything: the answers need not hold on another stream. */
  handleClose(): void {
    this.#needNoJoin.clear();
    this.#rooms.clear();
    for (const settle of this.#asked) settle(false);
  }

  #mayAsk(): boolean {
    return this.#stream.isOpen() && this.#asked.size < maxDomains;
  }

  /**
   * Asks the domain what it is (XEP-0045 §6.1), and the room about an occupant that it cannot have:
   * ejabberd with mod_privilege drops the first question, a component's to a bare domain. The room
   * answers for itself alone.
   */
  #askService(room: Jid): Promise<boolean> {
    const { domain } = room;
    return this.#ask((id, settle) => {
      const occupant = `${room.toString()}/${id}`;
      const open = new Set([domain, occupant]);
      const settleForNow = (): void => {
        if (!this.#asked.has(settle)) return;
        settle(false);
        this.#rooms.set(domain, Promise.resolve(false), { ttl: silentMs });
      };
      const deadline = setTimeout(settleForNow, answerMs).unref();
      this.#stream.expect(id, (stanza) => {
        const from = String(stanza.attrs['from']);
        if (!open.delete(from)) return;
        if (from === domain && stanza.attrs['type'] === 'result') {
          settle(hasRooms(stanza));
        } else if (from === occupant && isRoomWithout(stanza)) {
          settle(true);
          this.#rooms.delete(domain);
          this.#rooms.set(room.toString(), Promise.resolve(true), { ttl: answeredMs });
        } else if (open.size === 0) {
          settleForNow();
        }
        if (!this.#asked.has(settle)) clearTimeout(deadline);
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

  /** Puts a question with an unguessable id. */
  #ask(put: (id: string, settle: (answer: boolean) => void) => void): Promise<boolean> {
    return new Promise((resolve) => {
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
