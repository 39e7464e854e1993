import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeError, quote } from '../core/text.ts';
import type { UsableParts } from './cross-checks.ts';
import type { ConfigPath, FoundFault } from './errors.ts';
import { secret } from './schema.ts';
import { findPairFault, parseCertificates } from './tls-pair.ts';

/** The contents of the files that a configuration names. */
export interface ConfigFiles {
  readonly secret: string | undefined;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** Reads the files, named as seen from `folder`; notes the faults of those that cannot be used. */
export async function readConfigFiles(
  { component, c2s, http }: UsableParts,
  folder: string,
  faults: FoundFault[],
): Promise<ConfigFiles> {
  const read = async (path: ConfigPath, name: string | undefined): Promise<string | undefined> => {
    if (name === undefined) return undefined;
    try {
      return await readText(resolve(folder, name));
    } catch (error) {
      const got = `${quote(name)} (${reasonOf(error)})`;
      faults.push({ path, expected: 'a file that can be read', got: () => got });
      return undefined;
    }
  };
  const secretPath = ['component', 'secret_file'];
  const files: ConfigFiles = {
    secret: (await read(secretPath, component?.secret_file))?.replace(/\r?\n$/, ''),
    ca: await read(['c2s', 'ca_file'], c2s?.ca_file),
    cert: await read(['http', 'tls', 'cert_file'], http?.tls?.cert_file),
    key: await read(['http', 'tls', 'key_file'], http?.tls?.key_file),
  };
  faults.push(
    ...checkSecret(files, secretPath),
    ...checkCa(files, c2s?.ca_file),
    ...(await checkTls(files, http?.tls)),
  );
  return files;
}

/** Reads a text in UTF-8; rejects with an Error whose message says why it cannot. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path);
  if (!isUtf8(bytes)) throw new TypeError('not UTF-8');
  return bytes.toString('utf8');
}

/** Says why a file cannot be used, without naming it again. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/, \w+( '.*')?$/s, '') : String(error);
}

function* checkSecret(files: ConfigFiles, path: ConfigPath): Generator<FoundFault> {
  if (files.secret === undefined || secret.safeParse(files.secret).success) return;
  yield { path, expected: 'a file of one line with the secret', got: () => '<secret>' };
}

function* checkCa({ ca }: ConfigFiles, name = ''): Generator<FoundFault> {
  if (ca === undefined) return;
  try {
    parseCertificates(ca);
  } catch (error) {
    const got = `${quote(name)} (${describeError(error)})`;
    const expected = 'a file of CA certificates in PEM';
    yield { path: ['c2s', 'ca_file'], expected, got: () => got };
  }
}

async function checkTls(
  { cert, key }: ConfigFiles,
  names: NonNullable<UsableParts['http']>['tls'],
): Promise<readonly FoundFault[]> {
  if (cert === undefined || key === undefined) return [];
  const fault = await findPairFault(cert, key);
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
  return [{ path: ['http', 'tls', ...path], expected, got: () => got }];
}
