import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface SentToResend {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  readonly headers?: Record<string, string>;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  /** JSON unless it is a text. */
  readonly body?: unknown;
}

/**
 * `silence`: no answer, ever. `taken in silence`: the same, but the mail is taken. `cut`: the mail is
 * taken, and the connection ends in place of an answer.
 */
type Behaviour = Answer | 'silence' | 'taken in silence' | 'cut';

/** Answers as Resend's API does, and keeps what it was sent. */
export class ResendServer {
  /** Every request's body, as it came. */
  readonly requests: string[] = [];
  readonly headers: Array<IncomingMessage['headers']> = [];
  /** What would have been delivered, by idempotency key. */
  readonly mails = new Map<string, SentToResend>();
  private readonly accepted = new Map<string, { payload: string; id: string }>();
  private readonly behaviours: Behaviour[] = [];
  private readonly events = new EventEmitter<{ met: [] }>();

  private constructor(
    private readonly server: Server,
    private readonly apiKey: string,
  ) {}

  static async start(apiKey: string): Promise<ResendServer> {
    const server = createServer((request, response) => void resend.handle(request, response));
    const resend = new ResendServer(server, apiKey);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return resend;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get environment(): Record<string, string> {
    return {
      RESEND_BASE_URL: `${this.url}/`,
      RESEND_API_KEY: this.apiKey,
      EMAIL_FROM: 'Rind <mail@example.com>',
    };
  }

  /** What the next requests meet with, instead of being served. */
  meet(...behaviours: Behaviour[]): void {
    this.behaviours.push(...behaviours);
  }

  /** Resolves when the next request has met with what it was to meet. */
  async untilMet(): Promise<void> {
    await once(this.events, 'met');
  }

  mailsTo(address: string): SentToResend[] {
    return [...this.mails.values()].filter(({ to }) => to === address);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const payload = await text(request);
    this.requests.push(payload);
    this.headers.push(request.headers);
    this.behave(this.behaviours.shift(), request, response, payload);
    this.events.emit('met');
  }

  private behave(
    behaviour: Behaviour | undefined,
    request: IncomingMessage,
    response: ServerResponse,
    payload: string,
  ): void {
    if (behaviour === 'silence') return;
    if (typeof behaviour === 'object') return write(response, behaviour);
    const answer = this.serve(request, payload);
    if (behaviour === 'cut') request.socket.destroy();
    else if (behaviour === undefined) write(response, answer);
  }

  private serve({ method, url, headers }: IncomingMessage, payload: string): Answer {
    if (method !== 'POST' || url !== '/emails') return refusal(404, 'not_found');
    if (headers.authorization !== `Bearer ${this.apiKey}`) return refusal(403, 'invalid_api_key');
    const key = String(headers['idempotency-key']);
    const before = this.accepted.get(key);
    if (before && before.payload !== payload) return refusal(409, 'invalid_idempotent_request');
    const { id } = before ?? { id: crypto.randomUUID() };
    if (!before) this.mails.set(key, JSON.parse(payload) as SentToResend);
    this.accepted.set(key, { payload, id });
    return { status: 200, body: { id } };
  }
}

export const refusal = (statusCode: number, name: string, headers = {}): Answer => ({
  status: statusCode,
  headers,
  body: { statusCode, name, message: `What ${name} means` },
});

function write(response: ServerResponse, { status, headers = {}, body }: Answer): void {
  response.writeHead(status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
