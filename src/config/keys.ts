import { z } from 'zod';
import { configSchema } from './schema.ts';

/** A key that the configuration may hold. */
export interface ConfigKey {
  /** Such as `http.port` or `api_accounts[].username`. */
  readonly path: string;
  /** Must it stand in its mapping? */
  readonly isRequired: boolean;
  /** A value, or the name of the key that it is taken from; undefined where there is none. */
  readonly default: unknown;
}

/** Every key that holds a value or a list, in the order of the schema. */
export function configKeys(): readonly ConfigKey[] {
  return keysOf(configSchema, { path: '', isRequired: true, default: undefined });
}

function keysOf(schema: z.core.$ZodType, key: ConfigKey): ConfigKey[] {
  if (schema instanceof z.ZodObject) return membersOf(schema, key.path && `${key.path}.`);
  if (schema instanceof z.ZodPrefault) return keysOf(schema.def.innerType, key);
  if (schema instanceof z.ZodDefault) {
    const { innerType, defaultValue } = schema.def;
    return keysOf(innerType, { ...key, isRequired: false, default: defaultValue });
  }
  if (schema instanceof z.ZodOptional) {
    const { innerType } = schema.def;
    return keysOf(innerType, { ...key, isRequired: false, default: schema.meta()?.['default'] });
  }
  const element = schema instanceof z.ZodArray ? schema.element : undefined;
  return element instanceof z.ZodObject ? [key, ...membersOf(element, `${key.path}[].`)] : [key];
}

function membersOf(schema: z.ZodObject, prefix: string): ConfigKey[] {
  return Object.entries(schema.shape).flatMap(([name, member]) =>
    keysOf(member, { path: prefix + name, isRequired: true, default: undefined }),
  );
}
