import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** A port that is free now; somebody else may take it before it is used. */
export async function findFreePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Why the port can't be listened on, as an error code, or `undefined` when it can. */
export async function whyUnavailable(port: number): Promise<string | undefined> {
  // Linux counts a listener on one address against all; other systems have to be asked for each.
  for (const host of [undefined, '127.0.0.1']) {
    const server = createServer();
    try {
      server.listen(port, host);
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  }
  return undefined;
}
