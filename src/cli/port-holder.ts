import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { z } from 'zod';
import type { Config } from '../config/config.ts';

const modeReport = z.object({
  mode: z.enum(['client', 'privileged', 'plain']),
  archive: z.boolean().nullable(),
  carbons: z.boolean().nullable(),
  bounces: z.object({ local: z.boolean(), remote: z.boolean() }),
});

/** The answer of `/readyz` (docs/operating.md). */
const readiness = z.discriminatedUnion('status', [
  z.object({ status: z.literal('ready'), domains: z.record(z.string(), modeReport) }),
  z.object({ status: z.literal('unavailable'), reason: z.string() }),
]);

/** The state of a running gateway, as `/readyz` has it. */
export type GatewayState = z.infer<typeof readiness>;

/** The program that listens where a gateway wants to listen. */
export type PortHolder =
  | {
      readonly kind: 'gateway';
      readonly state: GatewayState;
      /** Whether it answers HTTPS. */
      readonly hasTls: boolean;
    }
  | { readonly kind: 'metrics' }
  /** `answer` is part of a sentence: what it answers. */
  | { readonly kind: 'foreign'; readonly answer: string };

type Foreign = Extract<PortHolder, { kind: 'foreign' }>;
type Metrics = Extract<PortHolder, { kind: 'metrics' }>;
type Gateway = Extract<PortHolder, { kind: 'gateway' }>;

interface Address {
  readonly host: string;
  readonly port: number;
}

/** How long a program may take to answer, in milliseconds. */
const answerTimeoutMs = 3000;

/** How much of an answer is read, in characters; our metrics, the longest, have some 20,000. */
const maxAnswerLength = 1_000_000;

/**
 * Asks what listens at the address of the HTTP listener, whether it is a gateway, with TLS or still
 * without, and whether that is ready; undefined when nothing listens there. It never rejects.
 */
export async function findHttpHolder(http: Config['http']): Promise<Gateway | Foreign | undefined> {
  const isTls = http.tls !== undefined;
  const answer = await ask(http, '/readyz', isTls);
  const isOther = answer !== undefined && 'failure' in answer;
  return (
    readGateway(answer, isTls) ??
    (isOther ? readGateway(await ask(http, '/readyz', !isTls), !isTls) : undefined) ??
    describeForeign(answer)
  );
}

function readGateway(answer: HttpAnswer | undefined, hasTls: boolean): Gateway | undefined {
  if (answer === undefined || 'failure' in answer) return undefined;
  const read = readiness.safeParse(parseJson(answer.text));
  return read.success ? { kind: 'gateway', state: read.data, hasTls } : undefined;
}

/** What listens at the address of the listener for metrics; undefined when nothing does. It never rejects. */
export async function findMetricsHolder(address: Address): Promise<Metrics | Foreign | undefined> {
  const answer = await ask(address, '/metrics', false);
  const isOurs =
    answer !== undefined && 'text' in answer && /^xmpp_message_gateway_/m.test(answer.text);
  return isOurs ? { kind: 'metrics' } : describeForeign(answer);
}

type HttpAnswer =
  | { readonly text: string; readonly server: string | undefined }
  /** Part of a sentence. */
  | { readonly failure: string };

/** Gets a page. Verifies no certificate, because nothing secret is sent and nothing received is trusted. */
function ask(
  { host, port }: Address,
  path: string,
  isTls: boolean,
): Promise<HttpAnswer | undefined> {
  const options = { host, port, path, agent: false, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const request = (isTls ? getHttps : getHttp)(options, (response) => {
      let text = '';
      const server = response.headers['server']?.toString();
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > maxAnswerLength) response.destroy();
      });
      response.on('close', () => end({ text, server }));
    });
    const end = (answer: HttpAnswer | undefined): void => {
      clearTimeout(deadline);
      request.destroy();
      resolve(answer);
    };
    const deadline = setTimeout(() => end({ failure: 'it does not answer' }), answerTimeoutMs);
    request.on('error', (error) => {
      const isRefused = 'code' in error && error.code === 'ECONNREFUSED';
      const protocol = isTls ? 'HTTPS' : 'HTTP';
      end(isRefused ? undefined : { failure: `it does not answer ${protocol}` });
    });
  });
}

function describeForeign(answer: HttpAnswer | undefined): Foreign | undefined {
  if (answer === undefined) return undefined;
  if ('failure' in answer) return { kind: 'foreign', answer: answer.failure };
  // Exporters for Prometheus and many programs that it watches have a metric with this name.
  const [, built] = /^(\w+)_build_info\{/m.exec(answer.text) ?? [];
  const name = built ?? answer.server?.replaceAll(/[^\x20-\x7e]/g, '');
  return {
    kind: 'foreign',
    answer: name === undefined ? 'it answers HTTP, but not as a gateway' : `it answers as ${name}`,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What listens there, as a part of a sentence. */
export function describeHolder(holder: PortHolder): string {
  switch (holder.kind) {
    case 'gateway':
      return 'a gateway is already running there';
    case 'metrics':
      return 'another gateway serves its metrics there';
    case 'foreign':
      return `another program listens there (${holder.answer})`;
    default:
      return holder satisfies never;
  }
}

/** Tells the operator how to find and stop the program that has the port configured under `key`. */
export function foreignAdvice(key: 'http' | 'http.metrics', port: number): string {
  return `Stop it, or change ${key}.port. To see which program it is: sudo ss -ltnp 'sport = :${port}'`;
}
