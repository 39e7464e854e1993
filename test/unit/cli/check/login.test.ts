import { expect, test } from 'vitest';
import { checkLogin } from '../../../../src/cli/check/login.ts';
import { GatewayError } from '../../../../src/core/errors.ts';

const c2s = { host: '127.0.0.1', port: 5222, security: 'starttls', ca: undefined } as const;

/** The advice when the server's certificate is refused for this reason. */
async function adviseOn(code: string, kind: 'prosody' | 'ejabberd'): Promise<string> {
  const cause = Object.assign(new Error('the certificate is no good'), { code });
  const refuse = (): Promise<boolean> => {
    throw new GatewayError('authentication-unavailable', 'TLS failed.', { cause });
  };
  const { advice } = await checkLogin(refuse, c2s, 'example.org', Promise.resolve(kind));
  return advice ?? '';
}

test.each(['prosody', 'ejabberd'] as const)(
  'on %s, a certificate for another name needs another certificate, not trust',
  async (kind) => {
    const [name, trust] = await Promise.all([
      adviseOn('ERR_TLS_CERT_ALTNAME_INVALID', kind),
      adviseOn('DEPTH_ZERO_SELF_SIGNED_CERT', kind),
    ]);
    expect([name, trust].map((advice) => advice.includes('c2s.ca_file'))).toEqual([false, true]);
    for (const advice of [name, trust]) expect(advice).toMatch(/API accounts work without it\.$/);
    expect(trust.includes('ejabberd.pem')).toBe(kind === 'ejabberd');
  },
);
