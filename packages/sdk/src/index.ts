export * from './generated/index.js';
export { type Client, type Config, createClient } from './generated/client/index.js';
