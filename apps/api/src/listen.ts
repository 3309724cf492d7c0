import { once } from 'node:events';
import { createServer } from 'node:net';

interface Listener {
  listen(port: number, host: string): Promise<unknown>;
}

/** The port cannot be had. The message is for whoever starts the process. */
export class PortError extends Error {}

/** On all addresses: those of IPv6, too, where the machine has it, since a container's network may have nothing else. */
export async function listenEverywhere(app: Listener, port: number): Promise<void> {
  const host = (await canListen(port, '::')) ? '::' : '0.0.0.0';
  await app.listen(port, host);
}

/**
 * Whether the machine has such an address. Asked with the very port, since the framework would print a stack.
 * @throws PortError when the port is not to be had
 */
async function canListen(port: number, host: string): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, 'listening');
    probe.close();
    await once(probe, 'close');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new PortError(`Port ${port} is in use by another program: end that one, or set PORT.`);
    }
    if (code === 'EACCES') throw new PortError(`Port ${port} may not be used: set PORT.`);
    return false;
  }
}
