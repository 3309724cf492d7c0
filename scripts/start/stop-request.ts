/** One Ctrl-C arrives several times: from the terminal, from npm, from the bootstrap. */
const SAME_REQUEST_MS = 1_000;

export interface StopRequest {
  signal: AbortSignal;
  /** Settles at the first request. */
  requested: Promise<void>;
}

/** Listens for whatever asks this process to stop; a second Ctrl-C forces it. */
export function listenForStop(force: () => void): StopRequest {
  const controller = new AbortController();
  const requested = new Promise<void>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  let firstRequestMs = 0;
  const onRequest = (): void => {
    if (!controller.signal.aborted) {
      firstRequestMs = performance.now();
      controller.abort();
    } else if (performance.now() - firstRequestMs > SAME_REQUEST_MS) {
      force();
    }
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onRequest);
  // The bootstrap was killed. (Not a reason to force: its end may follow its signal.)
  process.once('disconnect', () => controller.abort());
  return { signal: controller.signal, requested };
}
