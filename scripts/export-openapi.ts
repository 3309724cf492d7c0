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

const { createOpenApiDocument } = (await import(entry.href)) as {
  createOpenApiDocument: () => Promise<object>;
};
await writeOrCheck(
  'packages/contracts/openapi.json',
  `${JSON.stringify(sortKeys(await createOpenApiDocument()), null, 2)}\n`,
  'pnpm openapi:export',
);
