import type { Context } from 'koa';
import type { ApiAccount, ApiAccounts } from '../../auth/api-accounts.ts';
import { parseBasicCredentials } from '../../auth/basic-credentials.ts';
import type { Permissions } from '../../auth/permissions.ts';
import { GatewayError, invalidMessage } from '../../core/errors.ts';
import { createJid, type Jid } from '../../core/jid/jid.ts';
import { describeJsonValue, isRecord, parseJson } from '../../core/json.ts';
import { decodeUtf8, quote } from '../../core/text.ts';
import { type BodyBudget, createReadBody } from '../request/body.ts';
import type { RequestRecord } from '../request/log.ts';
import { parseMediaType } from '../request/media-type.ts';
import {
  createFindDomain,
  decodeSegment,
  notFound,
  parseUsername,
  requireMethod,
} from '../request/url.ts';
import type { HttpAnswer } from '../response/answer.ts';

/** What the URL of a user's permissions needs from the rest of the gateway. */
export interface AclPorts {
  readonly domains: readonly string[];
  readonly limits: { readonly bodyBytes: number };
  readonly bodyBudget: BodyBudget;
  readonly apiAccounts: ApiAccounts;
  readonly permissions: Permissions;
}

/** The refusal of any other query. */
export const parametersExpected =
  'Expected no query parameters; only format=json is accepted, and has no effect.';

const label = 'Send messages using the HTTP API';

/** Creates the handler of `/api/1.0/xmppdomains/<fqdn>/users/<username>/acl`. */
export function createAnswerAcl(ports: AclPorts) {
  const { apiAccounts, permissions } = ports;
  const readBody = createReadBody(ports.limits.bodyBytes, ports.bodyBudget);
  const findDomain = createFindDomain(ports.domains);
  const readChange = async (ctx: Context, account: ApiAccount): Promise<boolean> => {
    parseMediaType(ctx.req.headers, ['application/json']);
    return readAcl(decodeUtf8(await readBody(ctx, `account ${account.username}`)));
  };
  return async (
    ctx: Context,
    record: RequestRecord,
    fqdn: string,
    username: string,
  ): Promise<HttpAnswer> => {
    const localpart = parseUsername(username, fqdn);
    // `*@domain` means every user of the domain, not one of that name.
    if (localpart.includes('*')) throw notFound();
    const domainText = decodeSegment(fqdn);
    requireMethod(ctx.method, ['GET', 'PUT']);
    const domain = findDomain(domainText);
    const credentials = parseBasicCredentials(ctx.req.headers.authorization);
    const account = await apiAccounts.authenticate(credentials, domain, record.address);
    const user = createJid(localpart, domain);
    record.account = account.username;
    record.target = user.toString();
    apiAccounts.authorizeManagement(account, domain, localpart);
    const isGranted = ctx.method === 'PUT' ? await readChange(ctx, account) : undefined;
    record.action = nameAction(isGranted);
    refuseParameters(ctx.querystring);
    if (isGranted !== undefined) await permissions.set(user, isGranted);
    return {
      status: 200,
      headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
      body: `${JSON.stringify(buildAcl(user, permissions.has(user)))}\n`,
    };
  };
}

function nameAction(isGranted: boolean | undefined): 'show' | 'grant' | 'revoke' {
  if (isGranted === undefined) return 'show';
  return isGranted ? 'grant' : 'revoke';
}

/** Above all dry_run, which permissions do not support. */
function refuseParameters(query: string): void {
  if (query === '' || query === 'format=json') return;
  throw new GatewayError('invalid-message', parametersExpected);
}

/** Builds the body of the answer about a user. */
export function buildAcl(user: Jid, isGranted: boolean): object {
  return {
    username: user.local,
    xmppDomain: user.domain,
    jid: user.toString(),
    acl: { xmppgateway: isGranted },
    aclLabels: { xmppgateway: label },
  };
}

/** Reads the permission in `{"acl": {"xmppgateway": true}}`; throws GatewayError `invalid-message`. */
function readAcl(text: string): boolean {
  const acl = readMember(parseJson(text), '', 'acl');
  const value = readMember(acl, '/acl', 'xmppgateway');
  if (typeof value === 'boolean') return value;
  throw invalidMessage(
    '/acl/xmppgateway',
    `Expected true or false, got ${describeJsonValue(value)}.`,
  );
}

/** The answer must not grow with a hostile body. */
const maxListed = 5;

function listNames(names: readonly string[]): string {
  const listed = names.slice(0, maxListed).map((name) => quote(name));
  return names.length > maxListed
    ? `${listed.join(', ')} and ${names.length - maxListed} more`
    : listed.join(', ');
}

function readMember(value: unknown, pointer: string, name: string): unknown {
  const expected = `Expected an object with the field ${quote(name)} only`;
  if (!isRecord(value))
    throw invalidMessage(pointer, `${expected}, got ${describeJsonValue(value)}.`);
  const names = Object.keys(value);
  if (names.length === 1 && names[0] === name) return value[name];
  const got = names.length === 0 ? 'no fields' : `the fields ${listNames(names)}`;
  throw invalidMessage(pointer, `${expected}, got ${got}.`);
}
