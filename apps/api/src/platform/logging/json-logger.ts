import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, type Level, pino } from 'pino';
import type { Config } from '../config/config.js';
import { currentRequest } from './request-context.js';

/** Names under which a secret might reach a log line by mistake. */
const secretNames = [
  'accessToken',
  'authorization',
  'cookie',
  'mfaToken',
  'otpauthUrl',
  'password',
  'passwordHash',
  'recoveryCodes',
  'refreshSalt',
  'refreshToken',
  'secret',
  'token',
];

/** Where Nest tells at every start how it put the application together: of use to nobody but itself. */
const wiring = new Set(['InstanceLoader', 'RouterExplorer', 'RoutesResolver']);

/** Nest's logger as JSON lines by pino: `logger.warn({ userId }, 'What happened')`, or just text. */
export class JsonLogger implements LoggerService {
  private readonly pino: Logger;

  constructor(
    { logLevel }: Pick<Config, 'logLevel'>,
    destination: DestinationStream = pino.destination(),
  ) {
    this.pino = pino(
      {
        level: logLevel,
        redact: secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        base: null,
        mixin: () => ({ ...currentRequest() }),
      },
      destination,
    );
  }

  log(message: unknown, ...parameters: unknown[]): void {
    const isWiring = wiring.has(String(parameters.at(-1)));
    this.write(isWiring ? 'trace' : 'info', message, parameters);
  }

  error(message: unknown, ...parameters: unknown[]): void {
    this.write('error', message, parameters);
  }

  warn(message: unknown, ...parameters: unknown[]): void {
    this.write('warn', message, parameters);
  }

  debug(message: unknown, ...parameters: unknown[]): void {
    this.write('debug', message, parameters);
  }

  verbose(message: unknown, ...parameters: unknown[]): void {
    this.write('trace', message, parameters);
  }

  fatal(message: unknown, ...parameters: unknown[]): void {
    this.write('fatal', message, parameters);
  }

  /** Nest puts the name of the logging class last. */
  private write(level: Level, message: unknown, parameters: readonly unknown[]): void {
    const texts = parameters.filter((parameter) => typeof parameter === 'string');
    const context = texts.at(-1);
    if (message instanceof Error) this.pino[level]({ context, err: message }, message.message);
    else if (typeof message === 'object')
      this.pino[level]({ context, ...message }, texts.length > 1 ? texts[0] : undefined);
    else
      this.pino[level](
        { context },
        typeof message === 'string' ? message : JSON.stringify(message),
      );
  }
}
