import type { Stanza } from '../../core/message/message.ts';

/** A message whose fate is not known yet, or whose caller has stopped waiting for it. */
export interface Entry {
  readonly stanza: Stanza;
  /** When the caller is told that the fate is unknown, on the clock of `performance.now()`. */
  readonly deadline: number;
  readonly settle: (error?: Error) => void;
  isSettled: boolean;
  isBounced: boolean;
}

/** Messages in the order of writing, also found by their ids. */
export interface InFlight {
  readonly count: number;
  readonly bytes: number;
  /** Number of all messages added so far: a barrier written now covers those up to it. */
  readonly lastAdded: number;
  add(entry: Entry): void;
  /** The messages with the id that have not bounced, oldest first; whoever waits for them or not. */
  find(id: string): readonly Entry[];
  /** All messages, oldest first. */
  entries(): Iterable<Entry>;
  /** Takes out, oldest first, all messages up to the number `last`. */
  takeUpTo(last: number): Entry[];
}

/** Creates an empty collection; the caller caps it by `count` and `bytes`. */
export function createInFlight(): InFlight {
  const entries = new Map<number, Entry>();
  const byId = new Map<string, Entry[]>();
  let added = 0;
  let bytes = 0;

  const forget = (entry: Entry): void => {
    const same = byId.get(entry.stanza.id);
    if (same === undefined || same.length === 1) {
      byId.delete(entry.stanza.id);
    } else {
      same.splice(same.indexOf(entry), 1);
    }
  };

  return {
    get count() {
      return entries.size;
    },
    get bytes() {
      return bytes;
    },
    get lastAdded() {
      return added;
    },
    add: (entry) => {
      added += 1;
      bytes += entry.stanza.bytes;
      entries.set(added, entry);
      const same = byId.get(entry.stanza.id);
      if (same === undefined) {
        byId.set(entry.stanza.id, [entry]);
      } else {
        same.push(entry);
      }
    },
    find: (id) => (byId.get(id) ?? []).filter((entry) => !entry.isBounced),
    entries: () => entries.values(),
    takeUpTo: (last) => {
      const taken: Entry[] = [];
      for (const [number, entry] of entries) {
        if (number > last) {
          break;
        }
        entries.delete(number);
        bytes -= entry.stanza.bytes;
        forget(entry);
        taken.push(entry);
      }
      return taken;
    },
  };
}
