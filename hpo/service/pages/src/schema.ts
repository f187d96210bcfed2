// What a JSON schema says of a place of a document: which keys, which values, and what they mean.

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  definitions?: Record<string, Schema>;
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  examples?: unknown[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema | boolean;
  prefixItems?: Schema[];
  required?: string[];
}

export interface Offer {
  name: string;
  about: string;
  detail: string; // its type, or its default
  required: boolean;
  nested: boolean; // a mapping or a list follows
}

export type Step = string | number; // a key of a mapping, a place of a list

// Every plain schema that may hold at a place: references followed, alternatives side by side.
function plain(root: Schema, schema: Schema | boolean | undefined, depth = 0): Schema[] {
  if (!schema || typeof schema === "boolean" || depth > 20) return [];
  const named = schema.$ref?.startsWith("#/") ? schema.$ref.slice(2).split("/").reduce<unknown>(member, root) : undefined;
  const more = [named as Schema | undefined, ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return [schema, ...more.flatMap((one) => plain(root, one, depth + 1))];
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function at(root: Schema, path: readonly Step[]): Schema[] {
  let found = plain(root, root);
  for (const step of path) found = found.flatMap((schema) => plain(root, below(schema, step)));
  return found;
}

function below(schema: Schema, step: Step): Schema | boolean | undefined {
  if (typeof step === "number") return schema.prefixItems?.[step] ?? schema.items;
  const own = schema.properties?.[step];
  if (own) return own;
  for (const [pattern, one] of Object.entries(schema.patternProperties ?? {})) if (new RegExp(pattern).test(step)) return one;
  return schema.additionalProperties;
}

// The keys that a mapping at `path` may have, the required ones first.
export function keysAt(root: Schema, path: readonly Step[]): Offer[] {
  const found = new Map<string, Offer>();
  for (const schema of at(root, path)) {
    for (const [name, one] of Object.entries(schema.properties ?? {})) {
      if (found.has(name)) continue;
      const kinds = plain(root, one);
      const about = kinds.map((kind) => kind.description).find((text) => text !== undefined) ?? "";
      const nested = kinds.some((kind) => kind.properties || kind.items || typeof kind.additionalProperties === "object");
      const scalar = kinds.some((kind) => kind.enum || [kind.type].flat().some((type) => type && !["object", "array", "null"].includes(type)));
      found.set(name, { name, about, detail: detail(kinds), required: schema.required?.includes(name) ?? false, nested: nested && !scalar });
    }
  }
  return [...found.values()].sort((a, b) => Number(b.required) - Number(a.required));
}

// The values that may stand at `path`, as far as the schema lists them.
export function valuesAt(root: Schema, path: readonly Step[]): Offer[] {
  const found = new Map<string, Offer>();
  for (const schema of at(root, path)) {
    const listed = [...(schema.enum ?? []), ...(schema.const === undefined ? [] : [schema.const]), ...(schema.examples ?? [])];
    if ([schema.type].flat().includes("boolean")) listed.push(true, false);
    if (schema.default !== undefined) listed.push(schema.default);
    for (const value of listed) {
      if (value === null || (typeof value === "object" && !Array.isArray(value))) continue;
      const name = Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
      const isDefault = JSON.stringify(value) === JSON.stringify(schema.default);
      if (!found.has(name)) found.set(name, { name, about: schema.description ?? "", detail: isDefault ? "default" : "", required: false, nested: false });
    }
  }
  return [...found.values()];
}

function detail(kinds: Schema[]): string {
  const types = [...new Set(kinds.flatMap((kind) => [kind.type].flat()))].filter((type) => type && type !== "null");
  return types.join(" or ");
}
