// Socket.IO with the API's adapter and nothing else: no token, no limit, no push. A request to `/emit` sends an event to
// one room; the event says when it was sent.
import { createServer } from 'node:http';
import { REALTIME_NAMESPACE, REALTIME_PATH } from '@rind/contracts';
import pg from 'pg';
import { type Namespace, Server } from 'socket.io';
import { InstanceLink } from '../../../api/dist/platform/realtime/instance-link.js';
import { PostgresAdapter } from '../../../api/dist/platform/realtime/postgres-adapter.js';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] });
const listener = new pg.Client({ connectionString: process.env['DATABASE_URL'] });
await listener.connect();

const link = new InstanceLink(
  { query: (statement: pg.QueryConfig) => pool.query(statement) } as never,
  {
    listenTo: (channel: string) => void listener.query(`LISTEN ${channel}`),
    on: (_event: string, listen: (channel: string, payload: string) => void) =>
      listener.on('notification', ({ channel, payload }) => listen(channel, payload ?? '')),
  } as never,
);

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://bench');
  if (pathname === '/emit') {
    const sentAt = String(process.hrtime.bigint());
    namespace.to(searchParams.get('room')!).emit('sync:changed', { timestamp: 1, sentAt });
  }
  response.end();
});
const io = new Server(server, {
  path: REALTIME_PATH,
  transports: ['websocket'],
  serveClient: false,
  // Socket.IO calls it with `new`.
  adapter: function createAdapter(served: Namespace) {
    return new PostgresAdapter(served, link);
  },
});
const namespace = io.of(REALTIME_NAMESPACE);
namespace.on('connection', (socket) => void socket.join(socket.handshake.auth['token'] as string));
server.listen(Number(process.env['PORT']), '127.0.0.1');
