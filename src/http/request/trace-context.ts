/** version "-" trace-id "-" parent-id "-" trace-flags, and what later versions put behind it */
const pattern =
  /^(?<version>[0-9a-f]{2})-(?<trace>[0-9a-f]{32})-(?<parent>[0-9a-f]{16})-[0-9a-f]{2}(?<more>-.*)?$/;

/**
 * The trace id of a `traceparent` header (W3C Trace Context §3.2); undefined without header, and for
 * one that is to be ignored because it is not valid.
 */
export function parseTraceId(header: string | undefined): string | undefined {
  const { version, trace, parent, more } = pattern.exec(header ?? '')?.groups ?? {};
  // §3.2.2.1: ff is forbidden; §3.2.2.2: version 00 has four fields; ids of zeros are invalid
  if (version === undefined || version === 'ff') return undefined;
  if (version === '00' && more !== undefined) return undefined;
  if (isZero(trace) || isZero(parent)) return undefined;
  return trace;
}

function isZero(id: string | undefined): boolean {
  return id === undefined || /^0+$/.test(id);
}
