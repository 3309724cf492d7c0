import { AsyncLocalStorage } from 'node:async_hooks';
import type { TestApp } from '../support/test-app.js';

const offset = new AsyncLocalStorage<number>();

/**
 * Gives instances of the API process clocks of their own: while one of them works on a request, its
 * `Date` is shifted. Instances in this process are as good as processes here: they share the event loop
 * and nothing else, since all that one request leaves to the next lies in its instance or in the
 * database; and tests need no build. The offset follows the request through every `await`, whatever else
 * runs meanwhile.
 */
export class ProcessClocks {
  private static readonly realDate = Date;

  static install(): void {
    const { realDate } = ProcessClocks;
    const now = () => realDate.now() + (offset.getStore() ?? 0);
    globalThis.Date = new Proxy(realDate, {
      construct: (target, parameters, newTarget) =>
        Reflect.construct(
          target,
          parameters.length === 0 ? [now()] : parameters,
          newTarget,
        ) as object,
      get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
    });
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
