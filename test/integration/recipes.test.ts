import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { post, request } from '../support/clients/http.ts';
import { find, type Stanza, text } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { installGateway, readBlocks, writeProgram } from '../support/gateway/recipe.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { servers } from '../support/servers/servers.ts';
import { freePort } from '../support/system/ports.ts';
import {
  createDirectory,
  removeDirectory,
  runChild,
  runToSuccess,
  startChild,
} from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

describe.each(servers)('recipes with $kind', ({ kind, start }) => {
  let site: GatewaySite;
  let folder: string;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    site = await startGatewaySite(start);
    folder = createDirectory('recipes');
    installGateway(folder);
    env = {
      PATH: `${folder}${delimiter}${process.env['PATH']}`,
      HOME: folder,
      XMPP_GATEWAY_PASSWORD: apiAccount.password,
    };
  });
  afterAll(async () => {
    await site?.stop();
    removeDirectory(folder);
  });

  /** As in the recipe, but at our gateway. */
  const block = (page: string, language: string, index = 0): string => {
    const found = readBlocks(page, language)[index] ?? '';
    return found
      .replaceAll('http://127.0.0.1:8080', site.gateway.url)
      .replaceAll('alerts:PASSWORD', `${apiAccount.username}:${apiAccount.password}`)
      .replaceAll('bot:PASSWORD', 'bot:bot-secret');
  };
  /** The file with the settings of `send`, with the password that the recipe leaves out. */
  const writeSettings = (file: string, page: string): void => {
    const settings = block(page, 'yaml');
    const password = settings.includes('user: bot') ? 'bot-secret' : apiAccount.password;
    writeFileSync(file, settings.replace('…', password), { mode: 0o600 });
  };
  const asBot = (): NodeJS.ProcessEnv => ({ ...env, XMPP_GATEWAY_PASSWORD: 'bot-secret' });
  const bodyOf = ({ root }: Stanza): string => {
    const body = find(root, 'body');
    return body === undefined ? '' : text(body);
  };
  /** Waits at Bob's for a message with this in its body. */
  const arrival = (part: string): Promise<Stanza> =>
    site.bob.waitFor(
      (stanza) => stanza.root.name === 'message' && bodyOf(stanza).includes(part),
      `a message with ${part}`,
    );

  /** What systemd does for a socket unit with `Accept=yes`. */
  const startRelay = async (): Promise<string> => {
    const port = await freePort();
    const script = writeProgram(folder, 'alert-relay', block('recipes/alertmanager.md', 'sh'));
    const keep = ['PATH', 'XMPP_GATEWAY_PASSWORD'].map((name) => `--setenv=${name}`);
    const relay = await startChild({
      file: 'systemd-socket-activate',
      args: ['--accept', '--inetd', '--listen', `127.0.0.1:${port}`, ...keep, script],
      env,
    });
    onTestFinished(async () => void (await relay.end()));
    await waitUntil(() => relay.output().includes('Listening on'), { label: 'the relay' });
    return `http://127.0.0.1:${port}/`;
  };

  test('Alertmanager', async () => {
    const url = await startRelay();
    const port = await freePort();
    const config = block('recipes/alertmanager.md', 'yaml')
      .replace('http://127.0.0.1:9099/', url)
      .replace('receiver: xmpp', 'receiver: xmpp\n  group_wait: 0s');
    writeFileSync(join(folder, 'alertmanager.yml'), config);
    const alertmanager = await startChild({
      file: 'prometheus-alertmanager',
      args: [
        `--config.file=${join(folder, 'alertmanager.yml')}`,
        `--storage.path=${folder}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--cluster.listen-address=',
      ],
    });
    onTestFinished(async () => void (await alertmanager.end()));
    const api = `http://127.0.0.1:${port}`;
    const isReady = (): Promise<boolean> =>
      request(`${api}/-/ready`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await waitUntil(isReady, { label: 'Alertmanager' });
    const alert = {
      labels: { alertname: 'DiskFull', instance: 'db1:9100' },
      annotations: { summary: 'Disk "sda" <93 %> full' },
    };
    expect((await post(`${api}/api/v2/alerts`, { body: JSON.stringify([alert]) })).status).toBe(
      200,
    );
    const arrived = await arrival('DiskFull');
    expect(bodyOf(arrived)).toBe('FIRING DiskFull db1:9100: Disk "sda" <93 %> full');
    expect(arrived.root.attributes['from']).toBe('alice@example.org');
    expect(alertmanager.output()).not.toContain('level=error');
  });

  test('Grafana, and what the relay answers', async () => {
    const url = await startRelay();
    const labels = { alertname: 'High memory usage', team: 'blue', zone: 'us-1' };
    const summary = 'This alert was triggered for zone us-1';
    const alerts = [{ status: 'firing', labels, annotations: { summary }, values: { B: 44.2 } }];
    const webhook = { receiver: 'xmpp', status: 'firing', orgId: 1, alerts, title: '[FIRING:1]' };
    expect((await post(url, { body: JSON.stringify(webhook) })).status).toBe(200);
    const shown = readBlocks('recipes/grafana.md', '')[0];
    expect(`${bodyOf(await arrival('High memory'))}\n`).toBe(shown);
    expect((await post(url, { body: 'no JSON' })).status).toBe(400);
    expect((await post(url, { body: '{}' })).status).toBe(400);
  });

  test('systemd OnFailure', async () => {
    // Without systemd as the first process there is no status to ask for.
    writeProgram(folder, 'systemctl', '#!/bin/sh\necho "$4: Failed with result exit-code"\n');
    writeFileSync(
      join(folder, 'tell-failure@.service'),
      block('recipes/systemd-onfailure.md', 'ini').replace('/usr/local/bin', folder),
    );
    const script = writeProgram(
      folder,
      'tell-failure',
      block('recipes/systemd-onfailure.md', 'sh').replace('/etc/', `${folder}/`),
    );
    writeSettings(join(folder, 'tell-failure.yaml'), 'recipes/systemd-onfailure.md');
    const unit = join(folder, 'tell-failure@backup.service.service');
    await runToSuccess({ file: 'cp', args: [join(folder, 'tell-failure@.service'), unit] });
    await runToSuccess({ file: 'systemd-analyze', args: ['verify', unit] });
    const clean = { ...env, XMPP_GATEWAY_PASSWORD: '' };
    await runToSuccess({ file: script, args: ['backup.service'], env: clean });
    const arrived = await arrival('backup.service: Failed');
    const subject = find(arrived.root, 'subject');
    expect(subject && text(subject)).toMatch(/^backup\.service failed on /);
  });

  test('git post-receive', async () => {
    const bare = join(folder, 'site.git');
    const work = join(folder, 'work');
    const gitEnv = {
      ...env,
      XMPP_GATEWAY_PASSWORD: '',
      XDG_CONFIG_HOME: join(folder, '.config'),
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_AUTHOR_NAME: 'A',
      GIT_AUTHOR_EMAIL: 'a@example.org',
      GIT_COMMITTER_NAME: 'A',
      GIT_COMMITTER_EMAIL: 'a@example.org',
    };
    const git = (...args: string[]) => runToSuccess({ file: 'git', args, env: gitEnv });
    await git('init', '--quiet', '--bare', bare);
    await git('init', '--quiet', '--initial-branch=main', work);
    writeProgram(join(bare, 'hooks'), 'post-receive', block('recipes/git-post-receive.md', 'sh'));
    const home = join(folder, '.config', 'xmpp-message-gateway');
    mkdirSync(home, { recursive: true });
    writeSettings(join(home, 'send.yaml'), 'recipes/git-post-receive.md');
    const push = async (message: string): Promise<string> => {
      await git('-C', work, 'commit', '--quiet', '--allow-empty', '-m', message);
      await git('-C', work, 'push', '--quiet', bare, 'main');
      return bodyOf(await arrival(message));
    };
    expect(await push('The first one')).toMatch(/^\w+ pushed to main of site:\n\w+ The first one$/);
    expect(await push('A second one')).toMatch(/:\n\w+ A second one$/);
  });

  test('a CI job, once however often it is tried', async () => {
    const variables = {
      CI_PROJECT_NAME: 'shop "x"',
      CI_JOB_STATUS: 'failed',
      CI_PIPELINE_URL: 'https://ci.example.org/7',
      CI_PIPELINE_ID: `${kind}-7`,
      CI_JOB_ID: '1',
    };
    const script = writeProgram(folder, 'notify', `#!/bin/sh\n${block('recipes/ci.md', 'sh')}`);
    const command = { file: script, args: [], env: { ...asBot(), ...variables } };
    const first: { id: string } = JSON.parse(await runToSuccess(command));
    const second: { id: string } = JSON.parse(await runToSuccess(command));
    expect(second.id).toBe(first.id);
    expect(bodyOf(await arrival('shop'))).toBe('shop "x": failed https://ci.example.org/7');
    await site.bob.settle();
    const all = site.bob.received.filter((stanza) => bodyOf(stanza).includes('shop'));
    expect(all).toHaveLength(1);
    const wrong = { ...command, env: { ...command.env, XMPP_GATEWAY_PASSWORD: 'wrong' } };
    expect((await runChild(wrong)).code).toBe(22);
  });

  test.each([
    ['recipes/python-bot.md', 'python', 'python3', 'bot.py', 'Hello from Python'],
    ['recipes/node-bot.md', 'js', process.execPath, 'bot.mjs', 'Hello from Node.js'],
  ])('%s', async (page, language, interpreter, name, said) => {
    const file = writeProgram(folder, name, block(page, language));
    const bot = { file: interpreter, args: [file], env: asBot() };
    const id = (await runToSuccess(bot)).trim();
    expect(bodyOf(await site.bob.waitForMessage(id))).toBe(said);
    const wrong = await runChild({ ...bot, env });
    expect([wrong.code, wrong.stderr.includes('unauthenticated')]).toEqual([1, true]);
  });

  test.each(['../README.md', 'api.md', 'moving.md'].flatMap(findSendingCommands))(
    'docs/%s, block %i',
    async (page, index) => {
      const script = `#!/bin/sh\n${block(page, 'sh', index)}`;
      const file = writeProgram(
        folder,
        'move',
        script.replace('curl ', 'curl -sS --fail-with-body '),
      );
      const answer: { id: string } = JSON.parse(await runToSuccess({ file, args: [], env }));
      const { root } = await site.bob.waitForMessage(answer.id);
      expect(root.attributes['from']).toMatch(/^(alice|bot)@example\.org$/);
    },
  );
});

/** The blocks of a page that send one message with curl, as page and index. */
function findSendingCommands(page: string): [page: string, index: number][] {
  return readBlocks(page, 'sh').flatMap((command, index) => {
    const sends = /^(#.*\n)?curl /.test(command) && command.includes('/gateway/messages');
    return sends ? [[page, index]] : [];
  });
}

test('bots wait for a server that is away; the relay tells Alertmanager to come again', async () => {
  const site = await startGatewaySite(startProsody);
  onTestFinished(site.stop);
  const folder = createDirectory('recipes');
  onTestFinished(() => removeDirectory(folder));
  installGateway(folder);
  await site.server.halt();
  await waitUntil(() => site.gateway.output().includes('component stream down'), {
    label: 'the loss',
  });
  const write = (name: string, page: string, language: string): string => {
    const [found = ''] = readBlocks(page, language);
    const here = found.replaceAll('http://127.0.0.1:8080', site.gateway.url);
    return writeProgram(folder, name, here.replace('--timeout 20', '--timeout 1'));
  };
  const env = {
    PATH: `${folder}${delimiter}${process.env['PATH']}`,
    XMPP_GATEWAY_PASSWORD: apiAccount.password,
  };
  const alerts = '{"alerts": [{"status": "firing", "labels": {"alertname": "a"}}]}';
  const relay = { file: write('relay', 'recipes/alertmanager.md', 'sh'), args: [], env };
  const head = `POST / HTTP/1.1\r\nContent-Length: ${alerts.length}\r\n\r\n`;
  expect((await runChild(relay, head + alerts)).stdout).toContain('HTTP/1.1 503 ');

  const refusals = (): number =>
    site.gateway.logLines().filter(({ route, status }) => route === 'user' && status === 503)
      .length;
  const bots = [
    { file: 'python3', args: [write('bot.py', 'recipes/python-bot.md', 'python')] },
    { file: process.execPath, args: [write('bot.mjs', 'recipes/node-bot.md', 'js')] },
  ].map((bot) => runChild({ ...bot, env: { ...env, XMPP_GATEWAY_PASSWORD: 'bot-secret' } }));
  await waitUntil(() => refusals() >= bots.length, { label: '503 for both' });
  await site.server.resume();
  for (const { code, stdout } of await Promise.all(bots)) {
    expect([code, stdout.trim()]).toEqual([0, expect.stringMatching(/^[\w-]{43}$/)]);
  }
});
