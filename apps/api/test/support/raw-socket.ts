import { REALTIME_PATH } from '@rind/contracts';

/** A WebSocket without Socket.IO's client, for frames that the client would never send. */
export class RawSocket {
  readonly received: string[] = [];
  /** Resolves when the server has closed it. */
  readonly closed: Promise<void>;
  #changed: () => void = () => undefined;

  private constructor(private readonly socket: WebSocket) {
    socket.addEventListener('message', ({ data }) => {
      this.received.push(String(data));
      this.#changed();
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', () => resolve());
      socket.addEventListener('error', () => resolve());
    });
  }

  static async open(url: string, query = 'EIO=4&transport=websocket'): Promise<RawSocket> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${REALTIME_PATH}/?${query}`);
    const raw = new RawSocket(socket);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error('The handshake was refused')));
    });
    return raw;
  }

  send(frame: string | Uint8Array<ArrayBuffer>): void {
    this.socket.send(frame);
  }

  /** Resolves with the first frame that begins so. */
  async receive(start: string): Promise<string> {
    for (;;) {
      const found = this.received.find((frame) => frame.startsWith(start));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  close(): void {
    this.socket.close();
  }
}
