/** Where Prometheus looks by default: outside the prefix of the API's routes. */
export const METRICS_PATH = 'metrics';
