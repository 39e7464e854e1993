import { type Problem, problems } from '../../src/core/errors.ts';
import { messageExamples } from './message-examples.ts';

/** What the reference reads of the description of the API. */
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly parameters: Readonly<Record<string, Parameter>>;
    readonly requestBodies: { readonly Message: { readonly description: string } };
  };
}

interface Operation {
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

/** Builds the reference of the page at /docs, as HTML, from the description of the API. */
export function buildReference({ paths, components }: Description): string {
  const { schemas, parameters, requestBodies } = components;
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => ['get', 'put', 'post'].includes(method))
      .map(([method, operation]): Route => ({ path, method, operation })),
  );
  const messages = routes.filter(isMessageUrl);
  return [
    section('The two URLs', messages.map(buildUrl)),
    section('Fields of a message', [
      paragraph('The body is JSON, with `Content-Type: application/json`:'),
      buildCode(messageExamples['application/json'].subject.value),
      buildFields(schemas['Message']),
    ]),
    section('Without JSON', buildOtherBodies(requestBodies.Message.description)),
    section('Parameters and headers', [
      rows(
        Object.values(parameters)
          .filter((one) => one.in !== 'path')
          .map((one) => row(one.name, one.in, one.description)),
      ),
    ]),
    section('Answers', buildAnswers(messages, schemas)),
    section('Problems', [
      paragraph('Every refusal is `application/problem+json` (RFC 9457) with these members:'),
      buildFields(schemas['Problem']),
      heading('Codes'),
      rows(Object.entries(problems).map(buildProblem)),
    ]),
    section('Other URLs', routes.filter((one) => !isMessageUrl(one)).map(buildUrl)),
  ].join('\n');
}

function isMessageUrl({ operation }: Route): boolean {
  return operation.tags.includes('messages');
}

function buildAnswers(
  routes: readonly Route[],
  schemas: Readonly<Record<string, Schema>>,
): readonly string[] {
  const { 200: success, 207: partial } = routes.at(-1)?.operation.responses ?? {};
  return [
    paragraph(success?.description),
    buildCode(success?.content['application/json']?.examples['subject']?.value),
    buildFields(schemas['Receipt']),
    heading('207'),
    paragraph(partial?.description),
  ];
}

const mediaTypes = {
  'application/x-www-form-urlencoded': 'to=bob@example.org&body=Backup%20done',
  'text/plain': messageExamples['text/plain'].text.value,
  'application/xml': messageExamples['application/xml'].stanza.value,
  'application/x-ndjson': [
    messageExamples['application/json'].short.value,
    messageExamples['application/json'].list.value,
  ]
    .map((value) => JSON.stringify(value))
    .join('\n'),
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

function section(title: string, parts: readonly string[]): string {
  return `<h3>${escape(title)}</h3>\n${parts.join('\n')}`;
}

function heading(title: string): string {
  return `<h4>${inline(title)}</h4>`;
}

function buildUrl({ path, method, operation }: Route): string {
  const shown = escape(path).replaceAll(/\{(\w+)\}/g, '<var>&lt;$1&gt;</var>');
  const text = [`${operation.summary}.`.replace('?.', '?'), operation.description]
    .filter(Boolean)
    .join(' ');
  return `<p class="url"><span class="method">${method.toUpperCase()}</span> <code>${shown}</code></p>\n${paragraph(text)}`;
}

function buildFields({ properties = {}, required = [] }: Schema = {}): string {
  return rows(
    Object.entries(properties).map(([name, field]) =>
      row(name, describeType(field), field.description, required.includes(name)),
    ),
  );
}

function describeType({ type, enum: values, oneOf }: Schema): string {
  if (oneOf !== undefined) return oneOf.map(describeType).join(' or ');
  // The codes have a list of their own.
  if (values !== undefined && values.length < 10) return values.join(', ');
  return [type].flat().join(' or ');
}

function rows(content: readonly string[]): string {
  return `<dl>\n${content.join('\n')}\n</dl>`;
}

function row(name: string, kind: string, description = '', isNeeded = false): string {
  const needed = isNeeded ? ' <small class="needed">required</small>' : '';
  return `<div><dt><code>${escape(name)}</code> <small>${escape(kind)}</small>${needed}</dt><dd>${inline(description)}</dd></div>`;
}

function buildProblem([name, { status, title, retry }]: [string, Problem]): string {
  const shown = name === 'bounced' ? 'by its condition' : String(status);
  const link = `<a href="problems/${name}"><code>${name}</code></a>`;
  return `<div><dt>${link} <small>${shown}</small></dt><dd>${inline(title)} Send it again? ${inline(retry)}</dd></div>`;
}

function paragraph(text = ''): string {
  return `<p>${inline(text)}</p>`;
}

/** Text as it is, or a value as JSON. */
function buildCode(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return `<pre tabindex="0">${escape(text)}</pre>`;
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
