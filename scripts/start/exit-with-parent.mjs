// Preloaded into the API: whoever started it holds the other end of this channel, and a killed one cannot say so.
const LAST_RESORT_MS = 15_000;

process.once('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
});
// The listener alone would keep the API from ever ending by itself.
process.channel?.unref();
