import type { Entry } from './in-flight.ts';

/** Messages that wait to be written, of all callers in turns; those of one caller in their order. */
export interface FairQueue {
  readonly count: number;
  readonly bytes: number;
  add(entry: Entry): void;
  /** The one whose turn it is. */
  peek(): Entry | undefined;
  /** Takes out the one whose turn it is. */
  take(): Entry | undefined;
  /** Takes out the newest message of whoever has most waiting, if that is more than `caller` has. */
  takeFromLongest(caller: string): Entry | undefined;
  /** Takes out all whose deadline is over at `now`. */
  takeExpired(now: number): Entry[];
}

/** Creates an empty queue; its owner caps it by `count` and `bytes`. */
export function createFairQueue(): FairQueue {
  // In the order of their turns: whoever had one goes to the end.
  const byCaller = new Map<string, Entry[]>();
  let count = 0;
  let bytes = 0;

  const forget = (entry: Entry): Entry => {
    count -= 1;
    bytes -= entry.stanza.bytes;
    return entry;
  };
  const first = (): [string, Entry[]] | undefined => byCaller.entries().next().value;

  return {
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    add: (entry) => {
      const { caller } = entry.stanza;
      const own = byCaller.get(caller);
      if (own === undefined) byCaller.set(caller, [entry]);
      else own.push(entry);
      count += 1;
      bytes += entry.stanza.bytes;
    },
    peek: () => first()?.[1][0],
    take: () => {
      const [caller, own] = first() ?? [];
      const entry = own?.shift();
      if (caller === undefined || own === undefined || entry === undefined) return undefined;
      if (own.length === 0) {
        byCaller.delete(caller);
      } else if (byCaller.size > 1) {
        byCaller.delete(caller);
        byCaller.set(caller, own);
      }
      return forget(entry);
    },
    takeFromLongest: (caller) => {
      let longest: Entry[] = [];
      for (const own of byCaller.values()) if (own.length > longest.length) longest = own;
      // As long as its own would be with one more, or longer by nothing, it is not the one to give way.
      if (longest.length <= (byCaller.get(caller)?.length ?? 0) + 1) return undefined;
      const newest = longest.pop();
      return newest && forget(newest);
    },
    takeExpired: (now) => {
      const expired: Entry[] = [];
      for (const [caller, own] of byCaller) {
        const firstAlive = own.findIndex(({ deadline }) => deadline > now);
        const gone = own.splice(0, firstAlive === -1 ? own.length : firstAlive);
        if (own.length === 0) byCaller.delete(caller);
        expired.push(...gone.map(forget));
      }
      return expired;
    },
  };
}
