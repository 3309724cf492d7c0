import { randomUUID } from 'node:crypto';

const CLIENTS = 16;

/** Pushes and pulls of some devices of one new user for a while; answers how many were answered. */
export async function runLoad(origin: string, seconds: number): Promise<number> {
  const api = `${origin}/api/v1`;
  const token = await signUp(api);
  const end = Date.now() + seconds * 1000;
  const device = async (): Promise<number> => {
    let answered = 0;
    while (Date.now() < end) {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const pull = await fetch(`${api}/sync/pull?lastPulledAt=0`, { headers });
      const { timestamp } = (await pull.json()) as { timestamp: number };
      const task = { id: randomUUID(), title: 'Load', is_completed: false };
      const push = await fetch(`${api}/sync/push`, {
        method: 'POST',
        headers,
        body: JSON.stringify({
          lastPulledAt: timestamp,
          changes: { tasks: { created: [task], updated: [], deleted: [] } },
        }),
      });
      await push.text();
      if (!pull.ok || !push.ok) throw new Error(`Load: ${pull.status}, ${push.status}`);
      answered += 2;
    }
    return answered;
  };
  const counts = await Promise.all(Array.from({ length: CLIENTS }, device));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function signUp(api: string): Promise<string> {
  const response = await fetch(`${api}/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      email: `${randomUUID()}@example.com`,
      password: randomUUID(),
      displayName: 'Load',
    }),
  });
  const { accessToken } = (await response.json()) as { accessToken?: string };
  if (accessToken === undefined) throw new Error(`Nobody could register: ${response.status}`);
  return accessToken;
}
