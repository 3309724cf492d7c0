// Writes packages/contracts/openapi.json from the built API, without a database. Keys are sorted, so that moving a
// declaration in the source changes nothing in the document.
import { writeOrCheck } from './generated-file.ts';

// A static import would make the type check of the scripts depend on a build.
const entry = new URL('../apps/api/dist/openapi.js', import.meta.url);

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}

/** References that lead nowhere: generators of clients stop at them without a word that helps. */
function findDanglingReferences(json: string): string[] {
  const document: unknown = JSON.parse(json);
  const targets = new Set(
    Array.from(json.matchAll(/"\$ref": "([^"]+)"/g), ([, target]) => target!),
  );
  return [...targets].filter((target) => {
    const names = target.split('/').slice(1);
    return names.reduce<unknown>((node, name) => Object(node)[name], document) === undefined;
  });
}

const { createOpenApiDocument } = (await import(entry.href)) as {
  createOpenApiDocument: () => Promise<object>;
};
const json = `${JSON.stringify(sortKeys(await createOpenApiDocument()), null, 2)}\n`;
const dangling = findDanglingReferences(json);
if (dangling.length > 0) throw new Error(`No such schema in the document: ${dangling.join(', ')}`);
await writeOrCheck('packages/contracts/openapi.json', json, 'pnpm openapi:export');
