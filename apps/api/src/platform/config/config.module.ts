import { type DynamicModule, Global, Inject, Module } from '@nestjs/common';
import type { Config } from './config.js';

const CONFIG = Symbol('config');

export const InjectConfig = () => Inject(CONFIG);

@Global()
@Module({})
export class ConfigModule {
  static register(config: Config): DynamicModule {
    return {
      module: ConfigModule,
      providers: [{ provide: CONFIG, useValue: config }],
      exports: [CONFIG],
    };
  }
}
