import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/gateway/metrics.ts';

const read = async (metrics = createMetrics('1.2.3')): Promise<string> =>
  (await metrics.read()).text;

describe('store_available', () => {
  const value = async (metrics: ReturnType<typeof createMetrics>): Promise<string | undefined> =>
    /^xmpp_message_gateway_store_available (\d)$/m.exec(await read(metrics))?.[1];

  it('is not there without a store', async () => {
    expect(await value(createMetrics('1.2.3'))).toBeUndefined();
  });

  it('follows the store', async () => {
    const metrics = createMetrics('1.2.3');
    let failure: string | undefined = 'no answer';
    metrics.watchStore(() => failure);
    expect(await value(metrics)).toBe('0');
    failure = undefined;
    expect(await value(metrics)).toBe('1');
  });
});

test('build_info has the versions', async () => {
  expect(await read()).toContain(
    `\nxmpp_message_gateway_build_info{version="1.2.3",node="${process.version}"} 1\n`,
  );
});

describe('before anything happens', () => {
  const samples = async (): Promise<Map<string, string>> => {
    const lines = (await read()).match(/^xmpp_message_gateway_.*$/gm) ?? [];
    return new Map(lines.map((line) => [line.replace(/ \S+$/, ''), /\S+$/.exec(line)?.[0] ?? '']));
  };

  it.each([
    ['requests_total', 'endpoint="user",code="ok"'],
    ['requests_total', 'endpoint="api",code="bounced"'],
    ['requests_total', 'endpoint="api",code="partial"'],
    ['requests_total', 'endpoint="acl",code="granted-in-configuration"'],
    ['requests_total', 'endpoint="health",code="internal"'],
    ['requests_total', 'endpoint="none",code="not-found"'],
    ['request_duration_seconds_count', 'endpoint="acl"'],
    ['deliveries_total', 'outcome="confirmed"'],
    ['deliveries_total', 'outcome="sender-refused"'],
    ['logins_total', 'result="unavailable"'],
    ['password_checks_total', 'result="wrong"'],
    ['connections_dropped_total', 'reason="displaced"'],
  ])('%s{%s} is 0', async (name, labels) => {
    expect((await samples()).get(`xmpp_message_gateway_${name}{${labels}}`)).toBe('0');
  });

  it('has no series of answers that an endpoint never gives', async () => {
    const names = [...(await samples()).keys()];
    const wrong = [
      'endpoint="health",code="bounced"',
      'endpoint="api",code="permission-missing"',
      'endpoint="acl",code="partial"',
    ];
    expect(names.filter((name) => wrong.some((labels) => name.includes(labels)))).toEqual([]);
  });

  it('has every series whose increase an alert waits for', async () => {
    const file = new URL('../../../deploy/alerts.yml', import.meta.url);
    const { groups } = parse(readFileSync(file, 'utf8'));
    const exprs: string[] = groups[0].rules.map(({ expr }: { expr: string }) => expr);
    const counters = exprs.flatMap((expr) => expr.match(/\bxmpp_\w+_total(?:\{[^}]*\})?/g) ?? []);
    expect(counters.length).toBeGreaterThan(5);
    const names = [...(await samples())].filter(([, value]) => value === '0').map(([name]) => name);
    const missing = counters.filter((counter) => {
      const [name = '', labels = ''] = counter.split(/[{}]/);
      return !names.some((series) => series.startsWith(name) && series.includes(labels));
    });
    expect(missing).toEqual([]);
  });
});
