import { AsyncLocalStorage } from 'node:async_hooks';
import { shiftedDate } from '../support/shifted-date.js';
import type { TestApp } from '../support/test-app.js';

const offset = new AsyncLocalStorage<number>();

/**
 * Gives instances of the API in this process clocks of their own: while one of them works on a request,
 * its `Date` is shifted. The offset follows the request through every `await`, whatever else runs
 * meanwhile.
 */
export class ProcessClocks {
  private static readonly realDate = Date;

  static install(): void {
    globalThis.Date = shiftedDate(ProcessClocks.realDate, () => offset.getStore() ?? 0);
  }

  static uninstall(): void {
    globalThis.Date = ProcessClocks.realDate;
  }

  static shift({ app }: TestApp, offsetMs: number): void {
    const server = app.getHttpServer();
    const listeners = server.listeners('request');
    server.removeAllListeners('request');
    for (const listener of listeners) {
      server.on('request', (...parameters: unknown[]) =>
        offset.run(offsetMs, () => Reflect.apply(listener, server, parameters)),
      );
    }
  }
}
