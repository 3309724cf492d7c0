import { once } from 'node:events';
import { createServer } from 'node:net';

interface Listener {
  listen(port: number, host: string): Promise<unknown>;
}

/** On all addresses: those of IPv6, too, where the machine has it, since a container's network may have nothing else. */
export async function listenEverywhere(app: Listener, port: number): Promise<void> {
  await app.listen(port, (await hasIpv6()) ? '::' : '0.0.0.0');
}

async function hasIpv6(): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(0, '::');
    await once(probe, 'listening');
    probe.close();
    await once(probe, 'close');
    return true;
  } catch {
    return false;
  }
}
