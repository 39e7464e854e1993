/** What a first configuration needs to know. */
export interface InitAnswers {
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
