import { type Operation, WrongAnswer } from '../contestants/contestant.ts';
import type { HttpConnection } from './http-connection.ts';

/** A request that must always be answered with one status. */
export function prepareRequest(
  connection: HttpConnection,
  request: Buffer,
  expectedStatus = 200,
): Operation {
  const send = async (keepBody: boolean) => {
    const { status, body } = await connection.send(request, keepBody);
    if (status !== expectedStatus) {
      throw new WrongAnswer(`${status} in place of ${expectedStatus} ${body?.toString() ?? ''}`);
    }
  };
  return { verify: () => send(true), run: () => send(false) };
}
