import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Element } from 'ltx';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { ComponentConnection } from '../stream/connection.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import { buildModuleQuery, readModule } from '../wire/domain-features.ts';

/** Knows in whose rooms users speak without joining. */
export interface RoomHosts {
  attach(connection: ComponentConnection): void;
  /** What was found out does not hold for another stream. */
  detach(): void;
  /** Whether the server's module lets users speak in the rooms of the domain as they are. */
  speakWithoutJoining(domain: string): Promise<boolean>;
  handleStanza(stanza: Element): void;
}

interface Question {
  readonly domain: string;
  readonly settle: (answer: boolean) => void;
}

/** Most domains that are remembered, and that are asked at once. */
const maxDomains = 1000;

/**
 * Asks a domain for the module, and then pings a served one: our own server answers in order
 * (FIFO), so the module's answer comes first. A later one is from a stranger's server, which cannot
 * speak for ours.
 */
export function createRoomHosts(options: {
  readonly component: string;
  /** A served domain, which answers pings. */
  readonly barrierDomain: string;
}): RoomHosts {
  const { component, barrierDomain } = options;
  const known = new LRUCache<string, Promise<boolean>>({ max: maxDomains });
  const questions = new Map<string, Question>();
  let connection: ComponentConnection | undefined;

  const ask = (domain: string): Promise<boolean> =>
    new Promise((resolve) => {
      if (connection === undefined || questions.size >= maxDomains) {
        resolve(false);
        return;
      }
      const id = `rooms-${randomBytes(12).toString('hex')}`;
      const settle = (answer: boolean): void => {
        questions.delete(id);
        resolve(answer);
      };
      questions.set(id, { domain, settle });
      connection.write(
        buildModuleQuery(id, component, escapeAttribute(domain)) +
          buildBarrier('ping', id, component, barrierDomain),
      );
    });

  return {
    attach: (next) => {
      connection = next;
    },
    detach: () => {
      connection = undefined;
      known.clear();
      for (const { settle } of questions.values()) settle(false);
    },
    speakWithoutJoining: (domain) => {
      const found = known.get(domain);
      if (found !== undefined) return found;
      const asked = ask(domain);
      if (connection !== undefined) known.set(domain, asked);
      return asked;
    },
    handleStanza: (stanza) => {
      if (questions.size === 0 || !stanza.is('iq')) return;
      const { id, from } = stanza.attrs;
      const question = questions.get(String(id));
      if (readBarrierAnswer('ping', stanza, component, barrierDomain)) question?.settle(false);
      else if (from === question?.domain)
        question?.settle(readModule(stanza)?.speaksInRooms ?? false);
    },
  };
}
