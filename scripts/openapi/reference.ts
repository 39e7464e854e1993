import { type Problem, problems } from '../../src/core/errors.ts';
import { maxRecipients } from '../../src/core/message/from-json.ts';
import { explainConditions } from '../../src/core/message/stanza-error.ts';
import { messageExamples } from './message-examples.ts';

/** What the reference reads of the description of the API. */
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly parameters: Readonly<Record<string, Parameter>>;
    readonly requestBodies: { readonly Message: { readonly description: string } };
    readonly securitySchemes: Readonly<Record<string, { readonly description: string }>>;
  };
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly responses: Readonly<Record<string, Response>>;
}

interface Response {
  readonly description: string;
  readonly content: Readonly<
    Record<string, { readonly examples: Readonly<Record<string, { readonly value: unknown }>> }>
  >;
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly oneOf?: readonly Schema[];
  readonly description?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly description: string;
}

/** An operation with its URL. */
interface Route {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

/** A part of the reference, with a place in the list "On this page". */
interface Section {
  readonly id: string;
  readonly title: string;
  readonly html: string;
}

/** Builds the reference of the page at /docs, as HTML, from the description of the API. */
export function buildReference({ paths, components }: Description): string {
  const { schemas, parameters, requestBodies, securitySchemes } = components;
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => ['get', 'put', 'post'].includes(method))
      .map(([method, operation]): Route => ({ path, method, operation })),
  );
  const messages = routes.filter(({ operation }) => operation.tags.includes('messages'));
  const permissions = routes.filter(({ operation }) => operation.tags.includes('permissions'));
  const others = routes.filter((one) => ![...messages, ...permissions].includes(one));
  const sections: readonly Section[] = [
    section('authentication', 'Base URL and login', buildLogin(securitySchemes)),
    section('send-url', 'The two URLs', buildMessageUrls(messages)),
    section('fields', 'Fields of a message', [
      paragraph('The body is JSON, with `Content-Type: application/json`:'),
      buildCode(buildCurl('application/json', messageExamples['application/json'].subject.value)),
      buildFields('field', schemas['Message']),
    ]),
    section('limits', 'Limits of a message', buildLimits()),
    section('without-json', 'Without JSON', buildOtherBodies(requestBodies.Message.description)),
    section('parameters', 'Parameters and headers', [
      rows(
        Object.values(parameters)
          .filter((one) => one.in !== 'path')
          .map((one) => row(`parameter-${one.name}`, one.name, one.in, one.description)),
      ),
    ]),
    section('answers', 'Answers', buildAnswers(messages, schemas)),
    section('problems', 'Problems', [
      paragraph('Every refusal is `application/problem+json` (RFC 9457) with these members:'),
      buildFields('problem', schemas['Problem'], 'always'),
    ]),
    section('codes', 'Codes of problems', [rows(Object.entries(problems).map(buildProblem))]),
    section('permissions', 'Permissions', [
      ...permissions.map(buildUrl),
      buildCode(
        `curl -u alerts -X PUT -H 'Content-Type: application/json' \\\n  -d '{"acl": {"xmppgateway": true}}' \\\n  ${base}/api/1.0/xmppdomains/example.org/users/bot/acl`,
      ),
    ]),
    section('other-urls', 'Other URLs', others.map(buildUrl)),
  ];
  return [
    buildContents(sections),
    '<div class="text">',
    ...sections.map(({ html }) => html),
    '</div>',
  ].join('\n');
}

/** Stands in code for the URL of the gateway, which the page puts in its place. */
const base = 'http://127.0.0.1:8080';
const messagesUrl = `${base}/api/1.0/xmppdomains/example.org/gateway/messages`;

function buildContents(sections: readonly Section[]): string {
  const items = sections.map(({ id, title }) => `<li><a href="#${id}">${escape(title)}</a></li>`);
  return `<nav class="contents" aria-label="On this page"><details id="contents" open><summary>On this page</summary>
<ul>
<li><a href="#form">↑ Back to the form</a></li>
${items.join('\n')}
<li><a href="openapi.json">openapi.json</a></li>
</ul></details></nav>`;
}

function buildLogin(schemes: Readonly<Record<string, { readonly description: string }>>): string[] {
  return [
    paragraph('All URLs begin with that of the gateway:'),
    buildCode(base),
    paragraph(
      'Every request for a message or a permission logs in with HTTP Basic authentication (RFC 7617), in UTF-8: `curl -u NAME` asks for the password. There are no sessions and no tokens. Without the right credentials the answer is 401 `unauthenticated`. The kind of account decides the URL:',
    ),
    rows([
      row('account-user', 'bot', 'a user of the XMPP server', schemes['xmppUser']?.description),
      row('account-api', 'alerts', 'an account of the gateway', schemes['apiAccount']?.description),
    ]),
  ];
}

function buildMessageUrls([user, api]: readonly Route[]): string[] {
  return [
    ...(user === undefined ? [] : [buildUrl(user), buildFormCurl('bot', '')]),
    ...(api === undefined ? [] : [buildUrl(api), buildFormCurl('alerts', '/alice')]),
  ];
}

/** The shortest request, at one of the two URLs. */
function buildFormCurl(account: string, path: string): string {
  return buildCode(
    `curl -u ${account} -d to=bob@example.org \\\n  --data-urlencode 'body=Disk 93 % full' \\\n  ${messagesUrl}${path}`,
  );
}

function buildLimits(): string[] {
  const limits = [
    ['the body of a request', '{{bodyBytes}} bytes', '413'],
    ['the stanza', '{{stanzaBytes}} bytes', '413'],
    ['nested elements', '{{depth}} levels, <message/> is the first', '422'],
    ['attributes of an element', '{{attributes}}', '422'],
    ['elements', '{{elements}}', '422'],
    ['all attributes and namespace declarations', '{{totalAttributes}}', '422'],
    ['namespace names', '{{namespaceBytes}} bytes', '422'],
    ['the message once it is expanded', '{{expandedBytes}} bytes', '413'],
    ['recipients of a list', String(maxRecipients), '422'],
  ] as const;
  const lines = limits.map(
    (cells) => `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`,
  );
  return [
    `<div class="scroller" tabindex="0" role="region" aria-label="Limits"><table><thead><tr><th>of</th><th>at most</th><th>beyond that</th></tr></thead><tbody>${lines.join('')}</tbody></table></div>`,
    paragraph(
      'Expanded, each element counts 768 bytes, each attribute and each text 256 more than its names, namespace and text.',
    ),
  ];
}

function buildAnswers(
  routes: readonly Route[],
  schemas: Readonly<Record<string, Schema>>,
): readonly string[] {
  const { 200: success, 207: partial } = routes.at(-1)?.operation.responses ?? {};
  return [
    paragraph(success?.description),
    buildCode(success?.content['application/json']?.examples['subject']?.value),
    buildFields('answer', schemas['Receipt'], 'always'),
    heading('207'),
    paragraph(partial?.description),
  ];
}

/** The media types other than JSON, with a complete request each. */
const mediaTypes = {
  'application/x-www-form-urlencoded': `curl -u bot -d to=bob@example.org -d to=carol@example.org \\\n  --data-urlencode 'body=Backup done' \\\n  ${messagesUrl}`,
  'text/plain': `df -h | curl -u bot:PASSWORD -H 'Content-Type: text/plain' --data-binary @- \\\n  '${messagesUrl}?to=bob@example.org'`,
  'application/xml': buildCurl('application/xml', messageExamples['application/xml'].stanza.value),
  'application/x-ndjson': `printf '%s\\n' '${[
    messageExamples['application/json'].short.value,
    messageExamples['application/json'].list.value,
  ]
    .map((value) => JSON.stringify(value))
    .join(
      "' \\\n  '",
    )}' |\n  curl -u bot:PASSWORD -H 'Content-Type: application/x-ndjson' --data-binary @- \\\n  ${messagesUrl}`,
};

function buildOtherBodies(description: string): string[] {
  return [
    paragraph(description),
    ...Object.entries(mediaTypes).flatMap(([type, example]) => [
      heading(`\`${type}\``),
      buildCode(example),
    ]),
  ];
}

/** A request with a body in which there is no apostrophe. */
function buildCurl(type: string, value: object | string): string {
  const body = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return `curl -u bot -H 'Content-Type: ${type}' -d '${body}' \\\n  ${messagesUrl}`;
}

function section(id: string, title: string, parts: readonly string[]): Section {
  return { id, title, html: `<h3 id="${id}">${escape(title)}</h3>\n${parts.join('\n')}` };
}

function heading(title: string): string {
  return `<h4>${inline(title)}</h4>`;
}

function buildUrl({ path, method, operation }: Route): string {
  // A long URL breaks after a slash.
  const shown = escape(path)
    .replaceAll(/\{(\w+)\}/g, '<var>&lt;$1&gt;</var>')
    .replaceAll(/(?<=[^<])\/(?=[a-z<])/g, '/<wbr>');
  const text = [`${operation.summary}.`.replace('?.', '?'), operation.description]
    .filter(Boolean)
    .join(' ');
  return `<p class="url" id="${operation.operationId}"><span class="method">${method.toUpperCase()}</span> <code>${shown}</code></p>\n${paragraph(text)}`;
}

function buildFields(
  prefix: string,
  { properties = {}, required = [] }: Schema = {},
  needed = 'required',
): string {
  return rows(
    Object.entries(properties).map(([name, field]) =>
      row(
        `${prefix}-${name}`,
        name,
        describeType(field),
        field.description,
        required.includes(name) ? needed : '',
      ),
    ),
  );
}

function describeType({ type, enum: values, oneOf }: Schema): string {
  if (oneOf !== undefined) return oneOf.map(describeType).join(' or ');
  // The codes have their own list.
  if (values !== undefined && values.length < 10) return values.join(', ');
  return [type].flat().join(' or ');
}

function rows(content: readonly string[]): string {
  return `<dl>\n${content.join('\n')}\n</dl>`;
}

function row(id: string, name: string, kind: string, description = '', needed = ''): string {
  const note = needed === '' ? '' : ` <small class="needed">${needed}</small>`;
  return `<div id="${escape(id)}"><dt><code>${escape(name)}</code> <small>${escape(kind)}</small>${note}</dt><dd>${inline(description)}</dd></div>`;
}

function buildProblem([name, { status, title, causes, retry }]: [string, Problem]): string {
  const isBounced = name === 'bounced';
  const shown = isBounced ? 'by its condition' : String(status);
  const code = `<a href="#${name}"><code>${name}</code></a>`;
  const badge = `<small class="badge">Send it again: ${describeRetry(retry)}</small>`;
  const parts = [`<p>${inline(title)} ${inline(causes)}</p>`];
  if (isBounced)
    parts.push(`<ul>${explainConditions().split('\n').map(buildCondition).join('')}</ul>`);
  parts.push(
    paragraph(
      retry
        .replace(/^(?:No|Yes(?:, safely)?)[:,] /, '')
        .replace(/^./, (letter) => letter.toUpperCase()),
    ),
  );
  return `<div id="${name}"><dt>${code} <small>${shown}</small> ${badge}</dt><dd>${parts.join('')}</dd></div>`;
}

/** Whether a request may be sent again, in two words. */
function describeRetry(retry: string): string {
  if (retry.startsWith('No')) return 'no';
  if (retry.startsWith('Yes, safely')) return 'safe';
  if (retry.startsWith('Yes')) return 'later';
  return retry.startsWith('It depends') ? 'it depends' : 'may duplicate';
}

function buildCondition(line: string): string {
  return `<li>${escape(line).replace(/^[\w-]+/, '<code>$&</code>')}</li>`;
}

function paragraph(text = ''): string {
  return `<p>${inline(text)}</p>`;
}

/** Text as it is, or a value as JSON; the page adds a button that copies it. */
function buildCode(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const code = escape(text).replaceAll(base, `<span class="base">${base}</span>`);
  return `<div class="code"><pre tabindex="0">${code}</pre></div>`;
}

/** The little Markdown that descriptions have: code between backticks. */
function inline(text: string): string {
  return escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
