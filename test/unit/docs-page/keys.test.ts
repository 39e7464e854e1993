import { describe, expect, it } from 'vitest';
import { createKeys } from '../../../docs-page/keys.ts';

/** The keys of a page, and what it keeps for a reload. */
function openKeys(kept?: unknown): ReturnType<typeof createKeys> & { reload(): unknown } {
  let text = JSON.stringify(kept ?? null);
  const keys = createKeys(kept, (entries) => {
    text = JSON.stringify(entries);
  });
  return { ...keys, reload: () => JSON.parse(text) };
}

describe('createKeys', () => {
  it('gives a message the same key until it is dropped, whatever is sent between', () => {
    const keys = openKeys();
    const [a, b] = [keys.find('A'), keys.find('B')];
    expect(a).toMatch(/^page-\d+-\d+$/);
    expect(b).not.toBe(a);
    keys.drop('B');
    expect(keys.find('A')).toBe(a);
    expect(keys.find('B')).not.toBe(b);
    keys.drop('A');
    expect(keys.find('A')).not.toBe(a);
  });

  it('has them again after a reload', () => {
    const keys = openKeys();
    const [a, b] = [keys.find('A'), keys.find('B')];
    keys.drop('B');
    const reloaded = openKeys(keys.reload());
    expect(reloaded.find('A')).toBe(a);
    expect(reloaded.find('B')).not.toBe(b);
  });

  it.each([undefined, null, 'x', {}, [null, ['A'], ['A', 1], 'AB']])(
    'starts without any if %j was kept',
    (kept) => {
      expect(openKeys(kept).find('A')).toMatch(/^page-/);
    },
  );

  it('forgets the one that was sent longest ago', () => {
    const keys = openKeys();
    const [a, b] = [keys.find('A'), keys.find('B')];
    for (let others = 0; others < 18; others += 1) keys.find(`${others}`);
    expect(keys.find('A')).toBe(a);
    keys.find('one too many');
    expect(keys.reload()).toHaveLength(20);
    expect(keys.find('A')).toBe(a);
    expect(keys.find('B')).not.toBe(b);
  });
});
