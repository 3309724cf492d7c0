/** Begins the path of every route but the reference. */
export const GLOBAL_PREFIX = 'api/v1';
