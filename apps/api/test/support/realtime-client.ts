import { once } from 'node:events';
import {
  type ClientToServerEvents,
  type HandshakeRefusal,
  REALTIME_NAMESPACE,
  REALTIME_PATH,
  type ServerEvent,
  serverEvents,
  type ServerPayload,
  type ServerToClientEvents,
} from '@rind/contracts';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';

type ClientSocket = Socket<ServerToClientEvents, ClientToServerEvents>;
type Received = { [Event in ServerEvent]: [Event, ServerPayload<Event>] }[ServerEvent];

export interface RealtimeOptions extends Partial<ManagerOptions & SocketOptions> {
  namespace?: string;
}

/** The published Socket.IO client, connected as the documentation tells apps to. Keeps what it receives. */
export class RealtimeClient {
  readonly received: Received[] = [];

  private constructor(readonly socket: ClientSocket) {
    socket.onAny((event: ServerEvent, payload: unknown) => {
      // What the contracts do not allow fails the test that waits for it.
      this.received.push([event, serverEvents[event].parse(payload)] as Received);
      this.#changed();
    });
  }

  /** Rejects with what the server refused the handshake with. */
  static async connect(
    url: string,
    token: string | undefined,
    options: RealtimeOptions = {},
  ): Promise<RealtimeClient> {
    const client = RealtimeClient.open(url, token, options);
    await client.connected();
    return client;
  }

  static open(
    url: string,
    token: string | undefined,
    { namespace = REALTIME_NAMESPACE, ...options }: RealtimeOptions = {},
  ): RealtimeClient {
    const socket: ClientSocket = io(url + namespace, {
      path: REALTIME_PATH,
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      ...(token !== undefined && { auth: { token } }),
      ...options,
    });
    return new RealtimeClient(socket);
  }

  /** Resolves at once where it is connected. */
  async connected(): Promise<void> {
    if (this.socket.connected) return;
    await new Promise<void>((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('connect_error', reject);
    });
  }

  /** Resolves with the reason when the server has closed the socket. */
  async disconnected(): Promise<string> {
    if (this.socket.disconnected) return 'before';
    return new Promise((resolve) => this.socket.once('disconnect', resolve));
  }

  /** The payloads of an event, when there are at least so many of them. */
  async receive<Event extends ServerEvent>(
    event: Event,
    count = 1,
  ): Promise<ServerPayload<Event>[]> {
    for (;;) {
      const payloads = this.received.filter(([name]) => name === event).map(([, data]) => data);
      if (payloads.length >= count) return payloads as ServerPayload<Event>[];
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** All that was sent to this socket by now has arrived when the answer does: events keep their order. */
  async settle(): Promise<Received[]> {
    await this.socket.emitWithAck('auth:renew', { token: 'x' });
    return this.received;
  }

  close(): void {
    this.socket.close();
  }

  #changed: () => void = () => undefined;
}

/** Why a handshake is refused. */
export async function refusalOf(
  url: string,
  token: string | undefined,
  options?: RealtimeOptions,
): Promise<string> {
  const client = RealtimeClient.open(url, token, options);
  const [error] = (await once(client.socket as never, 'connect_error')) as [
    Error & { data?: HandshakeRefusal },
  ];
  client.close();
  return error.data?.code ?? error.message;
}
