import { parseBasicCredentials } from '../build/src/auth/basic-credentials.js';
import { createThrottle } from '../build/src/auth/throttle/throttle.js';
import { createUsers } from '../build/src/auth/users.js';
import { basic, post } from '../build/support/clients/http.js';
import { readCpuMs } from './processes.mjs';
import { startGateway } from './site.mjs';

const userCount = 20;
const posts = 3;
const hotLoops = 100_000;

/** CPU of the gateway for the first request of a user and for later ones, in milliseconds. */
async function measureRequests(server) {
  const { domain, secret, port } = server.components[3];
  const gateway = await startGateway(server, {
    overrides: {
      component: { domain, secret, port },
      c2s: {
        host: server.host,
        port: server.c2sPort,
        security: 'starttls',
        ca_file: server.caFile,
      },
      permissions: { xmppgateway: ['*@example.org'] },
    },
  });
  const url = `http://127.0.0.1:${gateway.port}/api/1.0/xmppdomains/example.org/gateway/messages`;
  const body = JSON.stringify({ to: 'bob@example.org', body: 'x' });
  const postAs = async (user) => {
    const { status } = await post(url, { body, auth: [user, 'secret'] });
    if (status !== 200) throw new Error(`expected 200, got ${status}`);
  };
  const measureAll = async (users) => {
    const before = readCpuMs(gateway.pid);
    for (const user of users) await postAs(user);
    return (readCpuMs(gateway.pid) - before) / users.length;
  };
  try {
    const users = Array.from({ length: userCount }, (_, index) => `user-${index}`);
    for (const user of users) await server.register(user, 'secret');
    // The very first check also compiles and loads code; later checks do not.
    await measureAll(users.slice(0, 5));
    const first = await measureAll(users.slice(5));
    let later = 0;
    for (let round = 0; round < posts; round += 1) later += (await measureAll(users)) / posts;
    return { first, later };
  } finally {
    await gateway.stop();
  }
}

/** How long it takes to recognise a user from the cache, in microseconds. */
async function measureCached() {
  const users = createUsers({
    cacheMs: 60_000,
    throttle: createThrottle({ perAddress: 30, perUser: 10, windowMs: 60_000 }),
    refusalStepMs: 100,
    onFailure: () => {},
    passwordCheck: async () => true,
    permissions: { has: () => true },
  });
  const header = basic('bot', 'bot-secret');
  const logIn = () => users.authenticate(parseBasicCredentials(header), 'example.org', '127.0.0.1');
  const loop = async () => {
    const startedAt = performance.now();
    for (let index = 0; index < hotLoops; index += 1) await logIn();
    return ((performance.now() - startedAt) * 1000) / hotLoops;
  };
  await loop();
  return loop();
}

/** The cost of a password check (SCRAM over STARTTLS), beside that of a remembered one. */
export async function measureLogins({ server }) {
  const { first, later } = await measureRequests(server);
  return { checkMs: first - later, cachedUs: await measureCached() };
}
