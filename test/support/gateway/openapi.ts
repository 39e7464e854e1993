import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The description of the API in the repository. */
export const openApiFile = fileURLToPath(new URL('../../../openapi.json', import.meta.url));

interface Reference {
  readonly $ref?: string;
}

interface Example {
  readonly value: unknown;
}

/** The description of a body of some media type. */
export interface Content {
  readonly schema?: { readonly allOf?: readonly { readonly properties?: Properties }[] };
  readonly examples?: Readonly<Record<string, Example>>;
  readonly example?: unknown;
}

type Properties = Readonly<Record<string, { readonly enum?: readonly string[] }>>;

/** A response, its headers resolved. */
export interface DescribedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content: Readonly<Record<string, Content>>;
}

/** One method of one path, all references resolved. */
export interface DescribedOperation {
  readonly id: string;
  readonly method: string;
  /** The path with parameters as `{…}`. */
  readonly template: string;
  /** The path with the examples of its parameters. */
  readonly path: string;
  readonly requestContent: Readonly<Record<string, Content>>;
  readonly responses: readonly DescribedResponse[];
}

type Tree = Readonly<Record<string, unknown>>;

/** Reads the operations of an OpenAPI document; default that of the repository. */
export function readOperations(
  document: unknown = JSON.parse(readFileSync(openApiFile, 'utf8')),
): DescribedOperation[] {
  const resolve = createResolve(document);
  const { paths } = document as { paths: Record<string, Tree> };
  return Object.entries(paths).flatMap(([template, item]) => {
    const { parameters: common = [], ...methods } = item;
    return Object.entries(methods).map(([method, value]) => {
      const operation = value as Tree;
      const own = operation['parameters'] ?? [];
      const parameters = [...(common as object[]), ...(own as object[])].map((it) => resolve(it));
      const body = operation['requestBody'];
      return {
        id: String(operation['operationId']),
        method: method.toUpperCase(),
        template,
        path: fillIn(template, parameters),
        requestContent: body === undefined ? {} : (resolve(body)['content'] as never),
        responses: Object.entries(operation['responses'] as Tree).map(([status, response]) =>
          readResponse(Number(status), resolve(response), resolve),
        ),
      };
    });
  });
}

function readResponse(
  status: number,
  { headers = {}, content = {} }: Tree,
  resolve: (value: unknown) => Tree,
): DescribedResponse {
  const resolved = Object.entries(headers as Tree).map(([name, header]) => [
    name.toLowerCase(),
    resolve(header),
  ]);
  return { status, headers: Object.fromEntries(resolved), content: content as never };
}

function createResolve(document: unknown): (value: unknown) => Tree {
  return (value) => {
    const { $ref } = value as Reference;
    if ($ref === undefined) return value as Tree;
    const steps = $ref.replace('#/', '').split('/');
    return steps.reduce((tree, step) => tree[step] as Tree, document as Tree);
  };
}

function fillIn(template: string, parameters: readonly Tree[]): string {
  return template.replace(/\{(\w+)\}/g, (_, name) => {
    const parameter = parameters.find((it) => it['name'] === name);
    return String(parameter?.['example']);
  });
}

/** The problem codes that a response may have. */
export function codesOf(response: DescribedResponse): readonly string[] {
  const parts = response.content['application/problem+json']?.schema?.allOf ?? [];
  return parts.flatMap(({ properties }) => properties?.['code']?.enum ?? []);
}

/** The examples of a response: its media type, the example's name and value. */
export function examplesOf({ content }: DescribedResponse): [string, string, unknown][] {
  return Object.entries(content).flatMap(([type, { examples = {} }]) =>
    Object.entries(examples).map(([name, { value }]): [string, string, unknown] => [
      type,
      name,
      value,
    ]),
  );
}
