import {
  type ClientToServerEvents,
  REALTIME_NAMESPACE,
  REALTIME_PATH,
  type ServerToClientEvents,
} from '../../packages/contracts/dist/index.js';
import { io, type Socket } from 'socket.io-client';

import { ExpectedError } from '../expected-error.ts';

type RindSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** A socket that remembers how far the server said that it is. */
export class Listener {
  readonly #socket: RindSocket;
  #latest = 0;

  private constructor(socket: RindSocket) {
    this.#socket = socket;
    socket.on('sync:changed', ({ timestamp }) => {
      this.#latest = Math.max(this.#latest, timestamp);
    });
  }

  static async connect(url: string, token: string, signal: AbortSignal): Promise<Listener> {
    const socket: RindSocket = io(url + REALTIME_NAMESPACE, {
      path: REALTIME_PATH,
      transports: ['websocket'],
      auth: { token },
      reconnection: false,
      forceNew: true,
    });
    const listener = new Listener(socket);
    try {
      await listener.#until('connect', signal);
    } catch (error) {
      socket.close();
      throw error;
    }
    return listener;
  }

  async untilChanged(timestamp: number, signal: AbortSignal): Promise<void> {
    while (this.#latest < timestamp) await this.#until('sync:changed', signal);
  }

  close(): void {
    this.#socket.close();
  }

  #until(event: 'connect' | 'sync:changed', signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => reject(new ExpectedError(reason));
      this.#socket.once(event, () => resolve());
      this.#socket.once('connect_error', ({ message }) => fail(`refused: ${message}`));
      this.#socket.once('disconnect', (reason) => fail(`the socket was closed: ${reason}`));
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
}
