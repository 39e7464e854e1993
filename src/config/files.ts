import { isUtf8 } from 'node:buffer';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Secret } from '../core/secret.ts';
import { describeError, quote } from '../core/text.ts';
import { parseTemplate, TemplateError, type TemplateSources } from '../templates/templates.ts';
import type { UsableParts } from './cross-checks.ts';
import { type ConfigPath, type FoundFault, reasonOf } from './errors.ts';
import { secret } from './schema.ts';
import { findPairFault, parseCertificates } from './tls-pair.ts';

/** The contents of the files that a configuration names, and what is wrong with them. */
export interface ConfigFiles {
  readonly secret: Secret | undefined;
  readonly ca: string | undefined;
  readonly tls: TlsPair | undefined;
  /** CAs for the store, and the gateway's certificate and key there. */
  readonly storeTls: { readonly ca?: string | undefined; readonly pair?: TlsPair | undefined };
  /** The sources of the operator's own templates, by name. */
  readonly templates: TemplateSources;
  readonly faults: readonly FoundFault[];
}

/** Certificate chain and private key in PEM. */
interface TlsPair {
  readonly cert: string;
  readonly key: Secret;
}

/**
 * Reads the files; relative names are relative to `folder`, but the secret is read from systemd's
 * credentials if it is among them (systemd.exec(5), LoadCredential).
 */
export async function readConfigFiles(
  { component, c2s, http, store_tls: storeTls, templates: names = {} }: UsableParts,
  folder: string,
): Promise<ConfigFiles> {
  const faults: FoundFault[] = [];
  const read = async (
    path: ConfigPath,
    name: string | undefined,
    base = folder,
  ): Promise<string | undefined> => {
    if (name === undefined) return undefined;
    try {
      return await readText(resolve(base, name));
    } catch (error) {
      const got = `${quote(name)} (${reasonOf(error)})`;
      faults.push({ path, expected: 'a file that can be read', got: () => got });
      return undefined;
    }
  };
  const secretPath = ['component', 'secret_file'];
  const secretName = component?.secret_file;
  const secretText = await read(secretPath, secretName, findSecretFolder(secretName, folder));
  const line = secretText?.replace(/\r?\n$/, '');
  const readCa = async (
    path: ConfigPath,
    name: string | undefined,
  ): Promise<string | undefined> => {
    const text = await read([...path, 'ca_file'], name);
    faults.push(...checkCa(text, [...path, 'ca_file'], name));
    return text;
  };
  const readPair = async (
    path: ConfigPath,
    files: PairFiles | undefined,
  ): Promise<TlsPair | undefined> => {
    const cert = await read([...path, 'cert_file'], files?.cert_file);
    const key = await read([...path, 'key_file'], files?.key_file);
    if (cert === undefined || key === undefined) return undefined;
    const pair = { cert, key: new Secret(key) };
    faults.push(...(await checkTls(pair, path, files)));
    return pair;
  };
  const templates: Record<string, string> = {};
  for (const [name, path] of Object.entries(names)) {
    const source = await read(['templates', name], path);
    if (source === undefined) continue;
    templates[name] = source;
    faults.push(...checkTemplate(name, source, path));
  }

  const parsedSecret = secret.optional().safeParse(line);
  if (!parsedSecret.success) {
    const expected = 'a file of one line with the secret';
    faults.push({ path: secretPath, expected, got: () => '<secret>' });
  }
  return {
    secret: parsedSecret.data,
    ca: await readCa(['c2s'], c2s?.ca_file),
    tls: await readPair(['http', 'tls'], http?.tls),
    storeTls: {
      ca: await readCa(['store_tls'], storeTls?.ca_file),
      pair: await readPair(['store_tls'], storeTls),
    },
    templates,
    faults,
  };
}

/**
 * As a service the gateway cannot read a file that only root may read, but systemd passes it on.
 * Commands that root runs find the same file beside the configuration.
 */
function findSecretFolder(name: string | undefined, folder: string): string {
  const credentials = process.env['CREDENTIALS_DIRECTORY'];
  if (name === undefined || credentials === undefined) return folder;
  return existsSync(resolve(credentials, name)) ? credentials : folder;
}

/**
 * Reads a file in UTF-8, without a byte order mark; rejects with an Error whose message says why it
 * cannot be read.
 */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path);
  if (!isUtf8(bytes)) throw new TypeError('not UTF-8');
  return bytes.toString('utf8').replace(/^\ufeff/, '');
}

function* checkCa(ca: string | undefined, path: ConfigPath, name = ''): Generator<FoundFault> {
  if (ca === undefined) return;
  try {
    parseCertificates(ca);
  } catch (error) {
    const got = `${quote(name)} (${describeError(error)})`;
    const expected = 'a file of CA certificates in PEM';
    yield { path, expected, got: () => got };
  }
}

function* checkTemplate(name: string, source: string, file = ''): Generator<FoundFault> {
  try {
    parseTemplate(source);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const got = `${quote(file)} (line ${error.line}: ${error.message})`;
    yield { path: ['templates', name], expected: 'a Liquid template', got: () => got };
  }
}

/** Where a certificate chain and its key are. */
interface PairFiles {
  readonly cert_file?: string | undefined;
  readonly key_file?: string | undefined;
}

async function checkTls(
  { cert, key }: TlsPair,
  place: ConfigPath,
  names: PairFiles | undefined,
): Promise<readonly FoundFault[]> {
  const fault = await findPairFault(cert, key.reveal());
  if (fault === undefined) return [];
  const { cert_file = '', key_file = '' } = names ?? {};
  const { path, expected, file } = {
    cert: { path: ['cert_file'], expected: 'a certificate chain in PEM', file: quote(cert_file) },
    key: { path: ['key_file'], expected: 'a private key in PEM', file: quote(key_file) },
    pair: {
      path: [],
      expected: 'a certificate chain and the private key of its first certificate',
      file: `${quote(cert_file)} and ${quote(key_file)}`,
    },
  }[fault.of];
  const got = `${file} (${fault.reason})`;
  return [{ path: [...place, ...path], expected, got: () => got }];
}
