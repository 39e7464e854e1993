import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { post, request } from '../support/clients/http.ts';
import { find, type Stanza, text } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { installGateway, readBlocks, writeProgram } from '../support/gateway/recipe.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { configFile, prosodyEnvironment } from '../support/servers/prosody-shell.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import {
  createDirectory,
  removeDirectory,
  runChild,
  runToSuccess,
  startChild,
} from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

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
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${site.gateway.port}`)
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
  /** Waits until Bob gets a message with this in its body. */
  const arrival = (part: string): Promise<Stanza> =>
    site.bob.waitFor(
      (stanza) => stanza.root.name === 'message' && bodyOf(stanza).includes(part),
      `a message with ${part}`,
    );

  /** The last block of a page in which no language is named: the text that arrives. */
  const shownText = (page: string): string => readBlocks(page, '').at(-1)?.trimEnd() ?? '';
  /** A payload as the tool posts it. */
  const payloadOf = (name: string): string =>
    readFileSync(join(project, 'test/corpus/webhooks', `${name}.json`), 'utf8');

  test('Alertmanager', async () => {
    const port = await freePort();
    const config = block('recipes/alertmanager.md', 'yaml')
      .replace('password: PASSWORD', `password: ${apiAccount.password}`)
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
      labels: { alertname: 'DiskFull', instance: 'db1:9100', severity: 'critical' },
      annotations: { summary: 'Disk "sda" <93 %> full' },
    };
    const answer = await post(`${api}/api/v2/alerts`, { body: JSON.stringify([alert]) });
    expect(answer.status).toBe(200);
    const arrived = await arrival('DiskFull');
    expect(bodyOf(arrived)).toBe(shownText('recipes/alertmanager.md'));
    expect(arrived.root.attributes['from']).toBe('alice@example.org');
    expect(alertmanager.output()).not.toContain('level=error');
  });

  test('Apprise', async () => {
    const script = writeProgram(
      folder,
      'notify',
      `#!/bin/sh\n${block('recipes/apprise.md', 'sh')}`,
    );
    await runToSuccess({ file: script, args: [], env });
    expect(bodyOf(await arrival('812 s'))).toBe(shownText('recipes/apprise.md'));
    const wrong = `#!/bin/sh\n${block('recipes/apprise.md', 'sh').replace('alerts-', 'wrong-')}`;
    const refused = { file: writeProgram(folder, 'notify', wrong), args: [], env };
    expect((await runChild(refused)).code).toBe(1);
  });

  test('Grafana', async () => {
    const { contactPoints } = parse(block('recipes/grafana.md', 'yaml'));
    const { url, httpMethod, username } = contactPoints[0].receivers[0].settings;
    const answer = await request(url, {
      method: httpMethod,
      auth: [username, apiAccount.password],
      type: 'application/json',
      body: payloadOf('grafana/unified-11-firing'),
    });
    expect(answer.status).toBe(200);
    expect(bodyOf(await arrival('High memory'))).toBe(shownText('recipes/grafana.md'));
  });

  test('Home Assistant', async () => {
    const config = block('recipes/home-assistant.md', 'yaml').replace('!secret', '');
    const { resource, method, username } = parse(config).notify[0];
    expect(method).toBe('POST_JSON');
    const { data } = parse(block('recipes/home-assistant.md', 'yaml', 1));
    // As its platform `rest` does.
    const answer = await post(resource, {
      auth: [username, apiAccount.password],
      type: 'application/json',
      body: JSON.stringify({ message: data.message, title: data.title }),
    });
    expect(answer.status).toBe(200);
    expect(bodyOf(await arrival('front door'))).toBe(shownText('recipes/home-assistant.md'));
  });

  test.each([
    ['recipes/gitea.md', 'gitea/push', 'Updated readme', { 'x-gitea-event': 'push' }],
    ['recipes/uptime-kuma.md', 'uptime-kuma/1-down', 'ENOTFOUND', {}],
  ])('%s', async (page, payload, part, headers) => {
    const { origin, pathname, search, username, password } = new URL(block(page, '').trim());
    const answer = await post(origin + pathname + search, {
      auth: [username, password],
      type: 'application/json',
      headers,
      body: payloadOf(payload),
    });
    expect(answer.status).toBe(200);
    expect(bodyOf(await arrival(part))).toBe(shownText(page));
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

  test('a message to all users, once', async () => {
    await site.server.register('a,b', 'secret');
    writeProgram(folder, 'prosodyctl', controlProgram(site.server));
    writeProgram(folder, 'ejabberdctl', controlProgram(site.server));
    const home = join(folder, '.config', 'xmpp-message-gateway');
    mkdirSync(home, { recursive: true });
    writeSettings(join(home, 'send.yaml'), 'recipes/notify-all.md');
    writeFileSync(join(folder, 'notice.txt'), block('recipes/notify-all.md', ''));
    const [fromProsody, fromEjabberd, ...others] = readBlocks('recipes/notify-all.md', 'sh');
    const list = kind === 'prosody' ? fromProsody : fromEjabberd;
    const script = `#!/bin/sh\nset -e\ncd '${folder}'\n${[list, ...others].join('')}`;
    const file = writeProgram(folder, 'notify-all', script);
    const run = { file, args: [], env: { ...env, XMPP_GATEWAY_PASSWORD: '' } };
    expect(await runToSuccess(run)).toBe('3 accepted, 0 refused\n');
    expect(await runToSuccess(run)).toBe('3 accepted, 0 refused\n');
    expect(readFileSync(join(folder, 'users.txt'), 'utf8').trim().split('\n').toSorted()).toEqual([
      'a,b@example.org',
      'bob@example.org',
      'bot@example.org',
    ]);
    const notices = (): string[] =>
      site.bob.received.map(bodyOf).filter((body) => body.includes('update'));
    await arrival('update');
    await site.bob.settle();
    expect(notices()).toEqual([shownText('recipes/notify-all.md').replace('{user}', 'bob')]);
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
    expect(bodyOf(await arrival('shop "x"'))).toBe('shop "x": failed https://ci.example.org/7');
    await site.bob.settle();
    const all = site.bob.received.filter((stanza) => bodyOf(stanza).includes('shop "x"'));
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
      writeFileSync(join(folder, 'messages.ndjson'), '{"to": "bob@example.org", "body": "x"}\n');
      const script = `#!/bin/sh\ncd '${folder}'\n${block(page, 'sh', index)}`;
      const file = writeProgram(
        folder,
        'move',
        script.replaceAll('curl ', 'curl -sS --fail-with-body '),
      );
      const printed = await runToSuccess({ file, args: [], env: { ...env, TEXT: 'Disk full' } });
      // Headers come before them with `curl -i`.
      const answers = printed
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line): Printed => JSON.parse(line));
      // A block may also send to a room that the server does not have, and a bulk request ends with counts.
      const toBob = answers.filter(({ to }) => to === 'bob@example.org');
      expect(toBob).not.toEqual([]);
      for (const { id } of toBob) {
        const { root } = await site.bob.waitForMessage(id);
        expect(root.attributes['from']).toMatch(/^(alice|bot)@example\.org$/);
      }
    },
  );
});

/** A control command of this server: the one of the system, or for ejabberd its HTTP API. */
function controlProgram(server: XmppServer): string {
  if (server.kind === 'ejabberd') {
    return `#!/bin/sh
curl -sSf -d "{\\"host\\": \\"$2\\"}" "http://127.0.0.1:${server.adminPort}/api/$1" | sed 's/^\\["//; s/"]$//; s/","/\\n/g'
`;
  }
  const variables = Object.entries(prosodyEnvironment(server)).map(
    ([name, value]) => `${name}='${value}'`,
  );
  return `#!/bin/sh\n${variables.join(' ')} exec /usr/bin/prosodyctl --config '${configFile}' "$@"\n`;
}

/** An answer as curl prints it. */
interface Printed {
  readonly id: string;
  readonly to: string;
}

/** The blocks of a page that send a message with curl, as page and index. */
function findSendingCommands(page: string): [page: string, index: number][] {
  return readBlocks(page, 'sh').flatMap((command, index) => {
    const sends = /^(#.*\n)?curl /.test(command) && command.includes('/gateway/messages');
    return sends ? [[page, index]] : [];
  });
}

test('bots wait for a server that is away; webhooks are told to come again', async () => {
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
  const away = await site.postAs(
    'alice?template=uptime-kuma&to=bob@example.org',
    '{"msg": "Down"}',
  );
  expect([away.status, away.headers['retry-after']]).toEqual([503, expect.any(String)]);

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
