import { parsePermission } from '../auth/permissions.ts';
import { JidError, parseDomain } from '../core/jid/jid.ts';
import { quote } from '../core/text.ts';
import type { ServerKind } from '../xmpp/server/identity.ts';
import { parseOption, type Surroundings, UsageError } from './command.ts';
import { openPrompt } from './prompt.ts';

/** The answers given on the command line; `domain` may name several. */
export interface InitFlags {
  readonly domain: string | undefined;
  readonly component: string | undefined;
  readonly server: string | undefined;
  readonly account: string | undefined;
  readonly bot: string | undefined;
}

/** The answers, given or asked for. */
export type InitChoices = Omit<InitAnswers, 'passwordHash' | 'isService'> & {
  readonly server: ServerKind | 'both';
};

/** Finds the answer to a question; without a `fallback`, an answer is required. */
type Find = (name: keyof InitFlags, question: string, fallback?: string) => Promise<string>;

/**
 * Completes the flags: asks on a terminal, otherwise takes defaults. `installed` are the servers that may
 * be meant when the flags name none. Throws UsageError.
 */
export async function findAnswers(
  flags: InitFlags,
  surroundings: Surroundings,
  installed: readonly ServerKind[],
): Promise<InitChoices> {
  if (surroundings.stdin.isTTY !== true) {
    return collect(flags, installed, (name, _question, fallback) => {
      if (fallback !== undefined) return Promise.resolve(fallback);
      throw new UsageError(`--${name} is missing, and there is no terminal to ask on`);
    });
  }
  const prompt = openPrompt(surroundings);
  try {
    return await collect(
      flags,
      installed,
      async (_name, question, fallback) => {
        const hint = fallback === undefined ? '' : ` [${fallback || 'none'}]`;
        return (await prompt.ask(`${question}${hint}: `)).trim() || (fallback ?? '');
      },
      (fault) => surroundings.stderr.write(`  ${fault}\n`),
    );
  } finally {
    prompt.close();
  }
}

/** With `onFault`, reports what is wrong with an answer and asks again; without, throws UsageError. */
async function collect(
  flags: InitFlags,
  installed: readonly ServerKind[],
  find: Find,
  onFault?: (fault: string) => void,
): Promise<InitChoices> {
  const read = async <T>(
    name: keyof InitFlags,
    question: string,
    fallback: string | undefined,
    parse: (text: string) => T,
  ): Promise<T> => {
    const given = flags[name];
    if (given !== undefined) return parseOption(`--${name}`, () => parse(given), isFault);
    for (;;) {
      const text = await find(name, question, fallback);
      try {
        return parse(text);
      } catch (error) {
        if (!isFault(error)) throw error;
        if (onFault === undefined) throw new UsageError(`--${name}: ${error.message}`);
        onFault(error.message);
      }
    }
  };
  const domains = await read(
    'domain',
    'Domain of the XMPP users (after the @)',
    undefined,
    parseDomains,
  );
  const [first = ''] = domains;
  const component = await read(
    'component',
    "The gateway's own domain on the XMPP server",
    `gateway.${first}`,
    (text) => parseComponent(text, domains),
  );
  const server = await read(
    'server',
    installed.length === 0
      ? 'No XMPP server was found on this machine. For which one: prosody, ejabberd or both'
      : 'Two XMPP servers are installed here, and none is running. For which one: prosody, ejabberd or both',
    'both',
    parseServer,
  );
  const account = await read('account', 'Name of the API account', 'alerts', parseAccount);
  const bot = await read('bot', 'XMPP user who may send under its own name (JID)', '', (text) =>
    parseBot(text, domains),
  );
  return { domains, component, server, account, bot };
}

/** The answer cannot be used; the message says what was expected. */
class UnusableAnswer extends Error {}

function isFault(error: unknown): error is Error {
  return error instanceof UnusableAnswer || error instanceof JidError;
}

function parseDomains(text: string): readonly string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  if (names.length === 0)
    throw new UnusableAnswer('expected a domain such as example.org, got nothing');
  return [...new Set(names.map(parseDomain))];
}

/** Applies the rule of the configuration: users cannot have addresses in the component's domain. */
function parseComponent(text: string, domains: readonly string[]): string {
  const component = parseDomain(text);
  if (domains.some((domain) => domain === component || domain.endsWith(`.${component}`))) {
    throw new UnusableAnswer(
      `expected a separate domain, neither a domain of the users nor a parent of one, got ${component}`,
    );
  }
  return component;
}

function parseServer(text: string): InitChoices['server'] {
  if (text === 'prosody' || text === 'ejabberd' || text === 'both') return text;
  throw new UnusableAnswer(`expected prosody, ejabberd or both, got ${quote(text)}`);
}

function parseAccount(text: string): string {
  if (/^[^:\p{Cc}]+$/u.test(text)) return text.normalize('NFC');
  throw new UnusableAnswer(
    `expected a name without colons and control characters, got ${quote(text)}`,
  );
}

function parseBot(text: string, domains: readonly string[]): string | undefined {
  if (text === '') return undefined;
  const { pattern, domain } = parsePermission(text);
  if (!domains.includes(domain))
    throw new UnusableAnswer(`expected a user of ${domains.join(' or ')}, got ${pattern}`);
  return pattern;
}

/** The values in a first configuration. */
interface InitAnswers {
  readonly domains: readonly string[];
  readonly component: string;
  /** The name of the API account. */
  readonly account: string;
  readonly passwordHash: string;
  /** The XMPP user who may send under its own name. */
  readonly bot: string | undefined;
  /** Whether systemd starts the gateway. */
  readonly isService: boolean;
}

/** Where a service keeps the granted permissions: it can write only there. */
export const serviceStateFile = '/var/lib/xmpp-message-gateway/permissions.json';

/** The file beside the configuration that holds the component secret. */
export const secretFile = 'component.secret';

/** Builds a first configuration, with a comment on each part. */
export function buildConfigText(answers: InitAnswers): string {
  const { domains, component, account, passwordHash, bot, isService } = answers;
  const [first = ''] = domains;
  return `# Configuration of xmpp-message-gateway. docs/configuration.md lists all keys and their defaults.
# To test it: xmpp-message-gateway check --config THIS-FILE

component:
  # The gateway's own domain on the XMPP server. It has no users and needs no DNS record.
  domain: ${quoted(component)}
  # The same secret as on the XMPP server. It allows speaking as any user, so keep it private (mode 600):
  # root's if systemd passes it on, otherwise that of the gateway's user.
  secret_file: ${secretFile}
  # Where the XMPP server listens for components. The defaults are:
  # host: 127.0.0.1
  # port: 5347

# The domains whose users send messages through the gateway. The XMPP server must host them.
domains: ${list(domains)}

# Where the XMPP server listens for clients; the gateway checks the passwords of XMPP users there.
# c2s:
#   host: 127.0.0.1
#   port: 5222
#   security: starttls            # or tls, or (on loopback only) plaintext
#   ca_file: server-ca.pem        # only if the system does not trust the CA of its certificate

# Where the gateway listens for HTTP. Off loopback, it needs tls: {cert_file: …, key_file: …}
# http:
#   host: 127.0.0.1
#   port: 8080

# API accounts may send as any user of their domains, or only as some: senders: ["alice", "team-*"].
# To add one, get its password_hash from: xmpp-message-gateway hash-password
api_accounts:
  - username: ${quoted(account)}
    password_hash: ${quoted(passwordHash)}
    domains: ${list(domains)}

# The XMPP users who may send under their own names, with their XMPP passwords. Nobody else may.
permissions:
  xmppgateway: ${list(bot === undefined ? [] : [bot])}      # such as ["bot@${first}"]
  # The file for permissions granted by the command "grant":
  # state_file: ${isService ? serviceStateFile : 'permissions.json'}
`;
}

function list(texts: readonly string[]): string {
  return `[${texts.map(quoted).join(', ')}]`;
}

/** YAML 1.2 §1.3: a JSON string is also a YAML string. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
