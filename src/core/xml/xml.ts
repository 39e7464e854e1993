/** An attribute other than a namespace declaration; without a prefix, `prefix` and `namespace` are ''. */
export interface XmlAttribute {
  readonly prefix: string;
  /** Local name. */
  readonly name: string;
  readonly namespace: string;
  readonly value: string;
}

/** An element; it keeps no namespace declarations, which follow from its prefixes and namespaces. */
export interface XmlElement {
  readonly prefix: string;
  /** Local name. */
  readonly name: string;
  /** Namespace name, '' for none. */
  readonly namespace: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlNode[];
}

/** An element or text. */
export type XmlNode = XmlElement | string;

/** The namespace that `<message/>` belongs to (RFC 6120 §4.8.2). */
export const clientNamespace = 'jabber:client';
/** The default namespace of a component's stream (XEP-0114 §3). */
export const componentNamespace = 'jabber:component:accept';
/** The namespace of the prefix `xml` (Namespaces in XML 1.0 §3). */
export const xmlNamespace = 'http://www.w3.org/XML/1998/namespace';
/** The attributes in that namespace that servers pass on unchanged. */
export const xmlAttributeNames: ReadonlySet<string> = new Set(['lang', 'space', 'base', 'id']);
/** The namespace of the prefix `xmlns` (Namespaces in XML 1.0 §3). */
export const xmlnsNamespace = 'http://www.w3.org/2000/xmlns/';

/**
 * XML that the gateway does not accept: `malformed` if it is not (namespace-)well-formed XML 1.0,
 * `refused` if it contains what the gateway does not pass on. `path` is that of the element, such as
 * `/message/body`.
 */
export class XmlError extends Error {
  override readonly name = 'XmlError';
  readonly kind: 'malformed' | 'refused';
  readonly path: string;

  constructor(kind: 'malformed' | 'refused', path: string, detail: string) {
    super(detail);
    this.kind = kind;
    this.path = path;
  }
}

/** Throws an XmlError for the place that is being parsed. */
export type Fail = (kind: XmlError['kind'], detail: string) => never;

/** Returns a name as it is written, with its prefix if it has one. */
export function qualifiedName({ prefix, name }: { prefix: string; name: string }): string {
  return prefix === '' ? name : `${prefix}:${name}`;
}
