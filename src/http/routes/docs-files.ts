import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the page at /docs consists of, by name, with its media types. */
export const docsFiles = {
  'page.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'message-request.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui-bundle.js.LICENSE.txt': 'text/plain; charset=utf-8',
  'LICENSE.txt': 'text/plain; charset=utf-8',
  'NOTICE.txt': 'text/plain; charset=utf-8',
} as const satisfies Record<string, string>;

/** A file as it is served. */
export interface DocsFile {
  readonly contentType: string;
  readonly bytes: Buffer;
  /** RFC 9110 §8.8.3. */
  readonly etag: string;
}

/** The files by name; `page.html` is the page itself. */
export type Docs = ReadonlyMap<string, DocsFile>;

/** What is served from memory, always from the same bytes. */
export function createDocsFile(contentType: string, bytes: Buffer): DocsFile {
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
  return { contentType, bytes, etag };
}

/** Reads the files of the page from a directory; throws when one is missing. */
export function readDocs(directory: string): Docs {
  return new Map(
    Object.entries(docsFiles).map(([name, contentType]) => {
      return [name, createDocsFile(contentType, readFileSync(join(directory, name)))];
    }),
  );
}
