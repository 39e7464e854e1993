import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../../src/gateway/metrics.ts';

describe('store_available', () => {
  const read = async (metrics: ReturnType<typeof createMetrics>): Promise<string | undefined> => {
    const { text } = await metrics.read();
    return /^xmpp_message_gateway_store_available (\d)$/m.exec(text)?.[1];
  };

  it('is not there without a store', async () => {
    expect(await read(createMetrics())).toBeUndefined();
  });

  it('follows the store', async () => {
    const metrics = createMetrics();
    let failure: string | undefined = 'no answer';
    metrics.watchStore(() => failure);
    expect(await read(metrics)).toBe('0');
    failure = undefined;
    expect(await read(metrics)).toBe('1');
  });
});
