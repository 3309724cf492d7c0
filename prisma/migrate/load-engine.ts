import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
// The package's main entry imports its .wasm file as a module, which is experimental in Node and
// unknown to test runners: so the bindings are imported and the binary is instantiated here.
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg';

/** The part of the global object that is used here; its types come with the browser's only. */
declare const WebAssembly: {
  Module: new (binary: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: WasmExports };
};

interface WasmExports {
  __wbindgen_start(): void;
}

/** Exported by the bindings, missing in their types. */
interface BindingsInternals {
  __wbg_set_wasm(exports: WasmExports): void;
}

let loaded = false;

/** Prisma's schema engine, instantiated once in a process. */
export function loadSchemaEngine(): typeof bindings.SchemaEngine {
  if (!loaded) {
    instantiate();
    loaded = true;
  }
  return bindings.SchemaEngine;
}

function instantiate(): void {
  // The engine calls this when it panics; without it the panic's own message would be lost.
  Object.assign(globalThis, {
    PRISMA_WASM_PANIC_REGISTRY: {
      set_message(message: string): void {
        throw new Error(`Prisma's schema engine panicked: ${message}`);
      },
    },
  });
  const require = createRequire(import.meta.url);
  const packageDir = path.dirname(require.resolve('@prisma/schema-engine-wasm'));
  const binary = readFileSync(path.join(packageDir, 'schema_engine_bg.wasm'));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), {
    './schema_engine_bg.js': { ...bindings, ...unreferencedTimers() },
  });
  (bindings as unknown as BindingsInternals).__wbg_set_wasm(exports);
  exports.__wbindgen_start();
}

/**
 * The engine never clears the timer that limits its wait for Prisma's lock, and so would keep every
 * process alive for 10 s after its work. The connection it waits on keeps the process alive anyway.
 */
function unreferencedTimers(): object {
  const names = Object.keys(bindings).filter((name) => name.startsWith('__wbg_setTimeout_'));
  const setUnreferenced = (callback: () => void, ms: number): NodeJS.Timeout =>
    setTimeout(callback, ms >>> 0).unref();
  return Object.fromEntries(names.map((name) => [name, setUnreferenced]));
}
