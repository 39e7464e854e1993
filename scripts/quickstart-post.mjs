import { STATUS_CODES } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { post } from '../build/support/clients/http.js';
import { find, text } from '../build/support/clients/stanza.js';

/** The longest delay of a timer. */
const forEverMs = 2 ** 31 - 1;

function buildRequests({ gateway, passwords, domain, bob }) {
  const url = `${gateway.url}/api/1.0/xmppdomains/${domain}/gateway/messages`;
  const [recipient] = bob.jid.split('/');
  const formText = 'Backup of R&D done ✓';
  const json = {
    to: recipient,
    body: 'Disk 93 % full on db1 ⚠',
    message_attributes: { id: 'json-1' },
    extra_elements: '<subject>Disk space</subject>',
  };
  return [
    {
      title: 'A form: the XMPP user "bot" speaks as itself',
      url,
      auth: ['bot', passwords.bot],
      type: 'application/x-www-form-urlencoded',
      body: new URLSearchParams({ to: recipient, id: 'form-1', body: formText }).toString(),
      curlData: `-d to=${recipient} --data-urlencode 'body=${formText}'`,
      expected: { id: 'form-1', sender: `bot@${domain}`, body: formText },
    },
    {
      title: 'JSON: the API account "alerts" speaks as alice',
      url: `${url}/alice`,
      auth: ['alerts', passwords.alerts],
      type: 'application/json',
      body: JSON.stringify(json),
      expected: { id: 'json-1', sender: `alice@${domain}`, body: json.body },
    },
    {
      title: 'XML: the XMPP user "bot" speaks as itself',
      url,
      auth: ['bot', passwords.bot],
      type: 'application/xml',
      body: `<message to="${recipient}" type="chat" id="xml-1"><body>Build 4711 passed ✓</body></message>`,
      expected: { id: 'xml-1', sender: `bot@${domain}`, body: 'Build 4711 passed ✓' },
    },
  ];
}

/** The same request as a command line; a form without its id. None of its parts contains an apostrophe. */
function curlLine({ url, auth, type, body, curlData }) {
  const data = curlData ?? `-H 'Content-Type: ${type}' \\\n  -d '${body}'`;
  return `curl -i -u '${auth.join(':')}' ${data} \\\n  ${url}`;
}

function printAnswer({ status, headers, body }) {
  const type = headers['content-type'] ?? '';
  console.log(`\nHTTP ${status} ${STATUS_CODES[status]}, ${type}`);
  console.log(type.includes('json') ? JSON.stringify(JSON.parse(body), null, 2) : body);
}

function printStanza(jid, { xml, root }) {
  console.log(`\narrived at ${jid} ${new Date().toISOString().slice(11, 23)}Z`);
  const body = find(root, 'body');
  if (body !== undefined) console.log(`    ${root.attributes.from} says: ${text(body)}`);
  // Servers escape both characters in text, so this only matches between two tags.
  console.log(
    `    ${xml.replaceAll('><', '>\n      <').replace(/\n *(<\/message>)$/, '\n    $1')}`,
  );
}

function checkArrival({ root, xml }, { sender, body }) {
  const element = find(root, 'body');
  // In mode client the sender's JID has a resource.
  const [from] = root.attributes.from.split('/');
  if (from !== sender || element === undefined || text(element) !== body) {
    throw new Error(`expected a message from ${sender} saying "${body}", got ${xml}`);
  }
}

async function postOne(request, { bob }) {
  console.log(curlLine(request));
  const answer = await post(request.url, request);
  printAnswer(answer);
  if (answer.status !== 200) throw new Error(`expected status 200, got ${answer.status}`);
  const stanza = await bob.waitForMessage(request.expected.id);
  printStanza(bob.jid, stanza);
  checkArrival(stanza, request.expected);
}

/** Posts in several forms to both URLs, and shows each request, its answer and what arrived; throws if one is wrong. */
export async function postAll(site, heading) {
  for (const request of buildRequests(site)) {
    heading(request.title);
    await postOne(request, site);
  }
}

/** Prints command lines to try on the running site. */
export function printCurlLines(site) {
  const lines = buildRequests(site).map((request) => `# ${request.title}\n${curlLine(request)}\n`);
  console.log(
    `\n${lines.join('\n')}\n# Can messages be sent now?\ncurl -i ${site.gateway.url}/readyz`,
  );
}

/** Shows every further message; rejects when the session ends. */
export async function showArrivals({ bob, serverName }) {
  const shown = new Set(bob.received);
  try {
    for (;;) {
      const isNew = (stanza) => stanza.root.name === 'message' && !shown.has(stanza);
      const stanza = await bob.waitFor(isNew, 'messages', forEverMs);
      shown.add(stanza);
      printStanza(bob.jid, stanza);
    }
  } catch (cause) {
    // Ctrl-C ends all processes of the terminal. Let our own handler come first.
    await sleep(500);
    throw new Error(`the session of ${bob.jid} ended: is ${serverName} gone?`, { cause });
  }
}
