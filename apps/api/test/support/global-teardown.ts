// For the declaration of the global alone.
import type {} from './global-setup.ts';

export default async function globalTeardown(): Promise<void> {
  await globalThis.stopTestServer?.();
}
