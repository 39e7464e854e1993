import type { Stanza } from '../../core/message/message.ts';
import type { Entry } from './lane.ts';

/** Messages that wait to be written, of all callers in turns; those of one caller in their order. */
export interface FairQueue {
  readonly count: number;
  readonly bytes: number;
  add(entry: Entry): void;
  /** The one whose turn it is. */
  peek(): Entry | undefined;
  /** Takes out the one whose turn it is. */
  take(): Entry | undefined;
  /**
   * Takes out the newest message of whoever has most waiting, by `measure`, if that is more than the
   * caller of `stanza` would have with it.
   */
  takeFromLargest(
    stanza: Pick<Stanza, 'caller' | 'bytes'>,
    measure: 'count' | 'bytes',
  ): Entry | undefined;
  /** Takes out all whose deadline is over at `now`. */
  takeExpired(now: number): Entry[];
}

/** What waits of one caller. */
interface Line {
  readonly entries: Entry[];
  bytes: number;
}

/** Creates an empty queue; its owner caps it by `count` and `bytes`. */
export function createFairQueue(): FairQueue {
  // In the order of their turns: whoever had one goes to the end.
  const byCaller = new Map<string, Line>();
  let count = 0;
  let bytes = 0;

  const note = (line: Line, messages: number, size: number): void => {
    line.bytes += size;
    count += messages;
    bytes += size;
  };
  const forget = (line: Line, entry: Entry): Entry => {
    note(line, -1, -entry.stanza.bytes);
    if (line.entries.length === 0) byCaller.delete(entry.stanza.caller);
    return entry;
  };
  const first = (): Line | undefined => byCaller.values().next().value;

  return {
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    add: (entry) => {
      const { caller } = entry.stanza;
      const line = byCaller.get(caller) ?? { entries: [], bytes: 0 };
      if (line.entries.length === 0) byCaller.set(caller, line);
      line.entries.push(entry);
      note(line, 1, entry.stanza.bytes);
    },
    peek: () => first()?.entries[0],
    take: () => {
      const line = first();
      const entry = line?.entries.shift();
      if (line === undefined || entry === undefined) return undefined;
      const { caller } = entry.stanza;
      if (line.entries.length > 0 && byCaller.size > 1) {
        byCaller.delete(caller);
        byCaller.set(caller, line);
      }
      return forget(line, entry);
    },
    takeFromLargest: (stanza, measure) => {
      const sizeOf = (line: Line): number =>
        measure === 'count' ? line.entries.length : line.bytes;
      const own = byCaller.get(stanza.caller);
      const added = measure === 'count' ? 1 : stanza.bytes;
      let limit = (own === undefined ? 0 : sizeOf(own)) + added;
      let largest: Line | undefined;
      for (const line of byCaller.values()) {
        if (sizeOf(line) <= limit) continue;
        limit = sizeOf(line);
        largest = line;
      }
      const newest = largest?.entries.pop();
      return largest && newest && forget(largest, newest);
    },
    takeExpired: (now) => {
      const expired: Entry[] = [];
      for (const line of byCaller.values()) {
        const firstAlive = line.entries.findIndex(({ deadline }) => deadline > now);
        const gone = line.entries.splice(0, firstAlive === -1 ? line.entries.length : firstAlive);
        for (const entry of gone) expired.push(forget(line, entry));
      }
      return expired;
    },
  };
}
