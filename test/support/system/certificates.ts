import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runToSuccess } from './processes.ts';

/** Paths of PEM files. */
export interface Certificates {
  /** The private CA's certificate. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificate and key in one file, for ejabberd. */
  readonly pemFile: string;
}

const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

async function openssl(directory: string, line: string): Promise<void> {
  await runToSuccess({ file: 'openssl', args: line.split(' '), cwd: directory });
}

/** Creates a private CA and a server certificate for the domains and 127.0.0.1, in `directory`. */
export async function createCertificates(
  directory: string,
  domains: readonly string[],
): Promise<Certificates> {
  await openssl(
    directory,
    `req -x509 ${newKey} -keyout ca.key -out ca.crt -days 30 -subj /CN=Test-CA -addext keyUsage=critical,keyCertSign,cRLSign`,
  );
  return await signCertificate(directory, join(directory, 'ca.crt'), domains);
}

/** Issues a certificate with that CA; with -1 days it has expired. */
export async function signCertificate(
  directory: string,
  caFile: string,
  domains: readonly string[],
  days = 30,
): Promise<Certificates> {
  const names = [...domains.map((domain) => `DNS:${domain}`), 'IP:127.0.0.1'].join(',');
  await openssl(
    directory,
    `req ${newKey} -keyout server.key -out server.csr -subj /CN=Test-server -addext subjectAltName=${names}`,
  );
  const caKey = join(dirname(caFile), 'ca.key');
  await openssl(
    directory,
    `x509 -req -in server.csr -CA ${caFile} -CAkey ${caKey} -set_serial ${Date.now()} -days ${days} -copy_extensions copy -out server.crt`,
  );
  const at = (name: string): string => join(directory, name);
  const parts = [readFileSync(at('server.crt'), 'utf8'), readFileSync(at('server.key'), 'utf8')];
  writeFileSync(at('server.pem'), parts.join(''), { mode: 0o600 });
  return {
    caFile,
    certFile: at('server.crt'),
    keyFile: at('server.key'),
    pemFile: at('server.pem'),
  };
}
