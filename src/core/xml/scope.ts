/** Which prefix means which namespace at one place of a document; '' is the default namespace. */
export interface NamespaceScope {
  resolve(prefix: string): string | undefined;
  /** An element begins: what is declared from here on holds until the matching `leave`. */
  enter(): void;
  declare(prefix: string, namespace: string): void;
  leave(): void;
}

/** A scope that begins with the given bindings; each step takes constant time at any depth. */
export function createNamespaceScope(initial: ReadonlyMap<string, string>): NamespaceScope {
  // Most documents declare nothing: they share what they begin with.
  let bindings: Map<string, string | undefined> | undefined;
  const shadowed: { readonly prefix: string; readonly namespace: string | undefined }[] = [];
  const marks: number[] = [];
  return {
    resolve: (prefix) => (bindings ?? initial).get(prefix),
    enter: () => {
      marks.push(shadowed.length);
    },
    declare: (prefix, namespace) => {
      bindings ??= new Map(initial);
      shadowed.push({ prefix, namespace: bindings.get(prefix) });
      bindings.set(prefix, namespace);
    },
    leave: () => {
      const mark = marks.pop() ?? 0;
      while (shadowed.length > mark) {
        const binding = shadowed.pop();
        if (binding !== undefined) bindings?.set(binding.prefix, binding.namespace);
      }
    },
  };
}
