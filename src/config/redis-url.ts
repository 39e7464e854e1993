import { isIPv6 } from 'node:net';

const pattern =
  /^redis:\/\/(?:([^\s/@:]*:[^\s/@:]+)@)?(?:\[([^\]]+)\]|[\w.-]+)(?::(\d{1,5}))?(?:\/\d{0,4})?$/i;

/**
 * Is it `redis://[[user]:password@]host[:port][/database]`
 * (https://www.iana.org/assignments/uri-schemes/prov/redis), without TLS?
 */
export function isRedisUrl(value: string): boolean {
  const parts = pattern.exec(value);
  if (parts === null) return false;
  const [, userinfo = '', ipv6 = '::1', port = '6379'] = parts;
  const isRightPort = Number(port) >= 1 && Number(port) <= 65_535;
  return isRightPort && isIPv6(ipv6) && URL.canParse(value) && isDecodable(userinfo);
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
