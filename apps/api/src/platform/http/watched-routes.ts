import { METRICS_PATH } from '../metrics/metrics-path.js';
import { GLOBAL_PREFIX } from './global-prefix.js';

const routes = new RegExp(`^/(${GLOBAL_PREFIX}/health(/.+)?|${METRICS_PATH})$`);

/** Whether this is how a process is watched: asked every few seconds, and answered also by one that does nothing but jobs. */
export function isWatchedRoute(route: string | undefined): boolean {
  return route !== undefined && routes.test(route);
}
