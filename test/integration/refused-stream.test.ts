import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Component, openComponent } from '../support/clients/component.ts';
import { post, request } from '../support/clients/http.ts';
import { check } from '../support/gateway/check-command.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { waitUntil } from '../support/system/wait.ts';

// XEP-0114 §3 digests bytes: those of UTF-8.
const component = { domain: 'gateway.example.org', secret: 'sécret <€> "&\' 𝄞' };

// Otherwise it looks for the missing domain's server, which takes as long as DNS does.
const withoutS2s = { extra: { global: 'modules_disabled = { "posix", "s2s" }' } };

/** The log has to name both servers, `check` recognises the one that answers. */
const refused =
  /^the XMPP server refused component\.secret(, or, if it is ejabberd, does not know component\.domain|, or does not know component\.domain)?$/;

const faults = [
  {
    fault: 'a wrong component.secret',
    strict: false,
    settings: { component: { secret: 'wrong' } },
    reason: { prosody: refused, ejabberd: refused },
    advice: 'Make component.secret and component.domain the same on both sides',
    lines: [
      '\n  Component "gateway.example.org"\n    component_secret = "<the same as component.secret>"\n    validate_from_addresses = false\n',
      '\n        "gateway.example.org":\n          password: "<the same as component.secret>"\n',
    ],
  },
  {
    fault: 'a component domain that the server does not know',
    strict: false,
    settings: { component: { domain: 'unknown.example.org' } },
    reason: { prosody: /^the XMPP server does not know component\.domain$/, ejabberd: refused },
    advice: '',
    lines: [
      '\n  Component "unknown.example.org"\n',
      '\n      check_from: false\n      hosts:\n        "unknown.example.org":\n',
    ],
  },
  {
    fault: 'a component that the server does not trust',
    strict: true,
    settings: {},
    reason: {
      prosody: /^the XMPP server does not let gateway\.example\.org send from addresses of example/,
      ejabberd:
        /^the XMPP server does not let gateway\.example\.org send from addresses of example/,
    },
    advice: 'Let the server trust the component',
    lines: [
      'below the line Component "gateway.example.org":\n\n  validate_from_addresses = false\n',
      /in the ejabberd_service listener of port \d+:\n\n {2}check_from: false\n/,
    ],
  },
  {
    fault: 'a domain that the server does not host',
    strict: false,
    settings: { domains: ['example.org', 'missing.example'] },
    reason: {
      prosody: /^the domain missing\.example .*: the XMPP server does not host it$/,
      ejabberd: /^the domain missing\.example .*: the XMPP server does not host it$/,
    },
    advice: 'Take missing.example out of domains',
    lines: ['\n  VirtualHost "missing.example"\n', '\n  hosts:\n    - "missing.example"\n'],
  },
] as const;

/** ejabberd keeps all connections and hands each stanza to any one of them: rarely to ours. */
const taken = {
  prosody: {
    count: 1,
    reason: /^the XMPP server already has a connection for component\.domain$/,
    advice:
      /^Stop the other connection of gateway\.example\.org, or give this gateway its own component /,
  },
  ejabberd: {
    count: 100,
    reason: /another connection gets the component's stanzas/,
    advice: /nothing else is connected as gateway\.example\.org, and that on ejabberd /,
  },
};

describe.each(servers)('a component stream that $kind refuses', ({ kind, start }) => {
  let trusting: XmppServer;
  let strict: XmppServer;
  let gateway: GatewayProcess | undefined;

  beforeAll(async () => {
    const options = { components: [component], ...(kind === 'prosody' ? withoutS2s : {}) };
    [trusting, strict] = await Promise.all([start(options), start({ ...options, strict: true })]);
  });
  afterAll(async () => {
    await Promise.all([trusting?.stop(), strict?.stop()]);
  });
  afterEach(async () => {
    await gateway?.stop();
    gateway = undefined;
  });

  const waitForReason = async ({ url }: GatewayProcess, reason: RegExp): Promise<void> => {
    await waitUntil(
      async () => {
        const answer = await request(`${url}/readyz`).catch(() => undefined);
        return answer?.status === 503 && reason.test(String(answer.json()['reason']));
      },
      { label: `503 from /readyz with ${reason}` },
    );
  };
  test('because it does not listen for components: the log has the lines of this server only', async () => {
    const port = await freePort();
    const config = gatewayConfig(trusting, { component: { port } });
    gateway = await startGatewayProcess({ config, ready: false });
    const line = await gateway.waitForLine('nothing listens for components');
    expect(line).toMatchObject({ level: 40, host: '127.0.0.1', port });
    expect(line['advice']).toMatch(/^The XMPP server is running\. /);
    expect(line['advice']).toMatch(
      { prosody: /component_ports/, ejabberd: /ejabberd_service/ }[kind],
    );
    expect(line['advice']).not.toMatch({ prosody: /ejabberd/, ejabberd: /Prosody/ }[kind]);
  });

  const send = ({ url }: GatewayProcess, message: object, password: string = apiAccount.password) =>
    post(`${url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`, {
      auth: [apiAccount.username, password],
      body: JSON.stringify(message),
    });

  test.each(faults)('for $fault is explained', async (fault) => {
    const config = gatewayConfig(fault.strict ? strict : trusting, fault.settings);
    const reason = fault.reason[kind];
    gateway = await startGatewayProcess({ config, ready: false });
    await waitForReason(gateway, reason);
    expect((await request(`${gateway.url}/livez`)).status).toBe(200);

    const down = await gateway.waitForLine('component stream down');
    expect(down).toMatchObject({ level: 40, reason: expect.stringMatching(reason) });
    for (const text of [fault.advice, ...fault.lines]) expect(down['advice']).toMatch(text);

    const unavailable = await send(gateway, { to: 'bob@example.org', body: 'hi' });
    expect(unavailable.status).toBe(503);
    expect(unavailable.json()).toMatchObject({ code: 'xmpp-unavailable' });
    expect(unavailable.headers['retry-after']).toMatch(/^[1-9]\d*$/);
    expect((await send(gateway, { to: 'bob@example.org', body: 1 })).status).toBe(422);
    expect((await send(gateway, { to: 'bob@example.org' }, 'wrong')).status).toBe(401);

    const said = await check(config);
    expect(said.code).toBe(1);
    const [, sentence, advice = ''] =
      /^FAILED component \S+ at 127\.0\.0\.1:\d+: (.*)\n\n((?: {7}.*\n|\n)*)/m.exec(said.stdout) ??
      [];
    expect(sentence).toMatch(reason);
    const printed = advice.replaceAll(/^ {7}/gm, '');
    const [ofProsody, ofEjabberd] = fault.lines;
    const [own, other] = kind === 'prosody' ? [ofProsody, ofEjabberd] : [ofEjabberd, ofProsody];
    expect(printed).toMatch(fault.advice);
    expect(printed).toMatch(own);
    expect(printed).not.toMatch(other);
  });

  test('for another connection of its domain is explained', async () => {
    const { count, reason, advice } = taken[kind];
    const others: Component[] = [];
    const closeOthers = (): void => {
      for (const other of others) other.destroy();
    };
    onTestFinished(closeOthers);
    // One after the other: ejabberd's queue for new connections is short.
    for (let opened = 0; opened < count; opened += 1) {
      others.push(await openComponent({ port: trusting.componentPort, ...component }));
    }
    const config = gatewayConfig(trusting);
    const checking = check(config);
    gateway = await startGatewayProcess({ config, ready: false });
    await waitForReason(gateway, reason);
    const down = await gateway.waitForLine('component stream down');
    expect(down).toMatchObject({ level: 40, reason: expect.stringMatching(reason) });
    expect(down['advice']).toMatch(advice);

    const { code, stdout } = await checking;
    expect(code).toBe(1);
    const [, sentence, line] =
      /^FAILED component \S+ at \S+: (.*)\n {7}(\S.*)\nok /m.exec(stdout) ?? [];
    expect(sentence).toMatch(reason);
    expect(line).toMatch(advice);

    closeOthers();
    await gateway.waitUntilReady();
  });

  test('becomes ready with the right configuration', async () => {
    gateway = await startGatewayProcess({ config: gatewayConfig(trusting) });
    const answer = await send(gateway, { to: 'bob@example.org', body: 'hi' });
    expect(answer.status).toBe(kind === 'prosody' ? 404 : 200);
  });
});
