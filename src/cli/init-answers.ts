import { parsePermission } from '../auth/permissions.ts';
import { JidError, parseDomain } from '../core/jid/jid.ts';
import type { ServerKind } from '../xmpp/server/identity.ts';
import { type Surroundings, UsageError } from './command.ts';
import { openPrompt } from './prompt.ts';

/** What the command line already says; `domain` may hold several. */
export interface InitFlags {
  readonly domain: string | undefined;
  readonly component: string | undefined;
  readonly server: string | undefined;
  readonly account: string | undefined;
  readonly bot: string | undefined;
}

/** All that is asked. */
export type InitChoices = Omit<InitAnswers, 'passwordHash'> & {
  readonly server: ServerKind | 'both';
};

/** The text for a question; `fallback` is undefined where there has to be an answer. */
type Find = (name: keyof InitFlags, question: string, fallback?: string) => Promise<string>;

/** Asks on a terminal for what the flags leave open, else takes defaults; throws UsageError. */
export async function findAnswers(
  flags: InitFlags,
  surroundings: Surroundings,
): Promise<InitChoices> {
  if (surroundings.stdin.isTTY !== true) {
    return collect(flags, (name, _question, fallback) => {
      if (fallback !== undefined) return Promise.resolve(fallback);
      throw new UsageError(`--${name} is missing, and there is no terminal to ask on`);
    });
  }
  const prompt = openPrompt(surroundings);
  try {
    return await collect(
      flags,
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

/** `onFault` is told what is wrong with an answer, and the question is asked again. */
async function collect(
  flags: InitFlags,
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
    if (given !== undefined) return orFlagError(name, () => parse(given));
    for (;;) {
      const text = await find(name, question, fallback);
      try {
        return parse(text);
      } catch (error) {
        if (onFault === undefined || !isFault(error)) throw error;
        onFault(error.message);
      }
    }
  };
  const domains = await read('domain', 'Domain of the XMPP users', undefined, parseDomains);
  const [first = ''] = domains;
  const component = await read(
    'component',
    "The gateway's own domain on the XMPP server",
    `gateway.${first}`,
    (text) => parseComponent(text, domains),
  );
  const server = await read(
    'server',
    'XMPP server: prosody, ejabberd or both',
    'both',
    parseServer,
  );
  const account = await read('account', 'Name of the API account', 'alerts', parseAccount);
  const bot = await read('bot', 'XMPP user who may send as itself (JID)', '', (text) =>
    parseBot(text, domains),
  );
  return { domains, component, server, account, bot };
}

/** An answer that is not usable; the message says what is. */
class UnusableAnswer extends Error {}

function isFault(error: unknown): error is Error {
  return error instanceof UnusableAnswer || error instanceof JidError;
}

function orFlagError<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw isFault(error) ? new UsageError(`--${name}: ${error.message}`) : error;
  }
}

function parseDomains(text: string): readonly string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  if (names.length === 0)
    throw new UnusableAnswer('expected a domain such as example.org, got nothing');
  return [...new Set(names.map(parseDomain))];
}

/** The rule of the configuration: no user can live in the component's domain. */
function parseComponent(text: string, domains: readonly string[]): string {
  const component = parseDomain(text);
  if (domains.some((domain) => domain === component || domain.endsWith(`.${component}`))) {
    throw new UnusableAnswer(
      'expected a domain of its own, neither one of the users’ nor one above it',
    );
  }
  return component;
}

function parseServer(text: string): InitChoices['server'] {
  if (text === 'prosody' || text === 'ejabberd' || text === 'both') return text;
  throw new UnusableAnswer(`expected prosody, ejabberd or both, got ${JSON.stringify(text)}`);
}

function parseAccount(text: string): string {
  if (/^[^:\p{Cc}]+$/u.test(text)) return text.normalize('NFC');
  throw new UnusableAnswer('expected a name without colons and control characters');
}

function parseBot(text: string, domains: readonly string[]): string | undefined {
  if (text === '') return undefined;
  const { pattern, domain } = parsePermission(text);
  if (!domains.includes(domain))
    throw new UnusableAnswer(`expected a user of ${domains.join(' or ')}`);
  return pattern;
}

/** What a first configuration needs to know. */
interface InitAnswers {
  readonly domains: readonly string[];
  readonly component: string;
  /** Name of the API account. */
  readonly account: string;
  readonly passwordHash: string;
  /** The XMPP user who may send as itself. */
  readonly bot: string | undefined;
}

/** The file beside the configuration that holds the component secret. */
export const secretFile = 'component.secret';

/** Writes a first configuration with a comment on each part. */
export function buildConfigText(answers: InitAnswers): string {
  const { domains, component, account, passwordHash, bot } = answers;
  const [first = ''] = domains;
  return `# Configuration of xmpp-message-gateway. docs/configuration.md has a table of all keys
# and their defaults.
# Try it: xmpp-message-gateway check --config THIS-FILE

component:
  # The gateway's own domain on the XMPP server. No user lives there, and it needs no DNS entry.
  domain: ${quoted(component)}
  # The same secret as on the XMPP server. Whoever has it can speak as anybody: mode 600.
  secret_file: ${secretFile}
  # Where the XMPP server listens for components:
  # host: 127.0.0.1
  # port: 5347

# The domains that messages are sent for; the XMPP server hosts them.
domains: ${list(domains)}

# Passwords of XMPP users are checked where the XMPP server listens for clients.
# c2s:
#   host: 127.0.0.1
#   port: 5222
#   security: starttls            # or tls; plaintext on loopback only
#   ca_file: server-ca.pem        # unless the system knows the CA of the server's certificate

# Elsewhere than on loopback it needs tls: {cert_file: …, key_file: …}
# http:
#   host: 127.0.0.1
#   port: 8080

# Those who speak as any user of these domains (narrower: senders: ["alice", "team-*"]).
# Another account: xmpp-message-gateway hash-password
api_accounts:
  - username: ${quoted(account)}
    password_hash: ${quoted(passwordHash)}
    domains: ${list(domains)}

# The XMPP users who may send as themselves, with the password of their account; nobody else may.
permissions:
  xmppgateway: ${list(bot === undefined ? [] : [bot])}      # such as ["bot@${first}"]
  # Where the commands grant and revoke keep what they grant:
  # state_file: permissions.json
`;
}

function list(texts: readonly string[]): string {
  return `[${texts.map(quoted).join(', ')}]`;
}

/** YAML 1.2 §1.3: a JSON string is one of YAML. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
