import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from '../build/support/clients/http.js';
import { openSessionOn } from '../build/support/clients/session.js';
import {
  gatewayConfig,
  runCommand,
  startGatewayProcess,
} from '../build/support/gateway/gateway.js';
import { modeSetups } from '../build/support/servers/mode-setups.js';

function createPassword() {
  return randomBytes(9).toString('base64url');
}

async function hashPassword(password) {
  const { code, stdout, stderr } = await runCommand(['hash-password'], { input: `${password}\n` });
  if (code !== 0) throw new Error(`hash-password ended with ${code}: ${stderr}`);
  return stdout.trim();
}

async function startGateway(server, apiPassword) {
  const config = gatewayConfig(server, {
    domains: [server.domain],
    api_accounts: [
      {
        username: 'alerts',
        password_hash: await hashPassword(apiPassword),
        domains: [server.domain],
      },
    ],
    permissions: { xmppgateway: [`bot@${server.domain}`] },
  });
  return startGatewayProcess({ config });
}

/** Rejects when the gateway ends on its own. */
async function watch(gateway) {
  const { code, signal } = await gateway.exited;
  // Ctrl-C ends all processes of the terminal. Let our own handler come first.
  await sleep(500);
  throw new Error(`the gateway ended with ${code ?? signal}:\n${gateway.output().slice(-4000)}`);
}

/** The folder of each server's module. */
const moduleFolders = { prosody: 'prosody/modules', ejabberd: 'ejabberd/mod_message_gateway' };

async function describe({ server, serverName, gateway, bob }) {
  const { domains } = (await request(`${gateway.url}/readyz`)).json();
  console.log(
    `${serverName.padEnd(9)} 127.0.0.1:${server.c2sPort} for clients, process ${server.pid}`,
  );
  console.log(`gateway   ${gateway.url}, process ${gateway.pid}, with ${gateway.configFile}:\n`);
  console.log(readFileSync(gateway.configFile, 'utf8').trimEnd().replaceAll(/^/gm, '    '));
  console.log(
    `\nmode      ${domains[server.domain].mode}: ${serverName} has mod_message_gateway (${moduleFolders[server.kind]}), which makes`,
  );
  console.log(
    "          a message the same as a client's: in the sender's archive, on other devices.",
  );
  console.log('users     alice@example.org, bot@example.org (has the xmppgateway permission)');
  console.log(`recipient ${bob.jid}, logged in with a real client session`);
}

/** Starts a server, the users alice, bob and bot, the gateway, and a session of bob. */
export async function startSite(kind, serverName) {
  const setup = modeSetups.find((known) => known.kind === kind && known.mode === 'client');
  const passwords = Object.fromEntries(
    ['alerts', 'alice', 'bob', 'bot', 'component'].map((name) => [name, createPassword()]),
  );
  const running = [];
  const stop = async () => {
    for (const part of running.splice(0).toReversed()) await part();
  };
  try {
    const component = { domain: 'gateway.example.org', secret: passwords.component };
    const server = await setup.start({ ...setup.options, components: [component] });
    running.push(() => server.stop());
    for (const user of ['alice', 'bob', 'bot']) await server.register(user, passwords[user]);
    const gateway = await startGateway(server, passwords.alerts);
    running.push(() => gateway.stop());
    const bob = await openSessionOn(server, 'bob', passwords.bob, { resource: 'phone' });
    running.push(() => bob.close());
    const failed = watch(gateway);
    failed.catch(() => {}); // Only awaited while the site stays up.
    await describe({ server, serverName, gateway, bob });
    return { serverName, gateway, bob, passwords, domain: server.domain, failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
