/** An attribute that is no namespace declaration; `prefix` and `namespace` are '' when it has none. */
export interface XmlAttribute {
  readonly prefix: string;
  /** Local name. */
  readonly name: string;
  readonly namespace: string;
  readonly value: string;
}

/** An element; its declarations are not kept, they follow from prefixes and namespaces. */
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
/** What the prefix `xml` is bound to (Namespaces in XML 1.0 §3). */
export const xmlNamespace = 'http://www.w3.org/XML/1998/namespace';
/** The attributes of that namespace that servers write again as they read them. */
export const xmlAttributeNames: ReadonlySet<string> = new Set(['lang', 'space', 'base', 'id']);
/** What the prefix `xmlns` is bound to (Namespaces in XML 1.0 §3). */
export const xmlnsNamespace = 'http://www.w3.org/2000/xmlns/';

/**
 * XML that is not taken: `malformed` when it is not (namespace-)well-formed XML 1.0, `refused` when
 * it holds what the gateway does not pass on. `path` names the element, such as `/message/body`.
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

/** Throws an XmlError for the place that is being read. */
export type Fail = (kind: XmlError['kind'], detail: string) => never;

/** A name as it is written: with its prefix, if it has one. */
export function qualifiedName({ prefix, name }: { prefix: string; name: string }): string {
  return prefix === '' ? name : `${prefix}:${name}`;
}
