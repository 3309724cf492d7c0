import { Controller, Get } from '@nestjs/common';
import { AppModule } from '../../../api/dist/app.module.js';
import { ApiRoute } from '../../../api/dist/platform/http/api-route.decorator.js';
import { Public } from '../../../api/dist/platform/http/public.decorator.js';
import { HealthLive } from '@rind/contracts';

/**
 * One answer at two routes, which differ in nothing but that one asks who sends the request. Node
 * takes the types out of this file, not decorators: they are called.
 */
class ProbesController {
  open(): HealthLive {
    return { status: 'ok', timestamp: new Date().toISOString(), version: '' };
  }

  authenticated(): HealthLive {
    return this.open();
  }
}

function declare(method: 'open' | 'authenticated', ...decorators: MethodDecorator[]): void {
  const { prototype } = ProbesController;
  const answers = [{ status: 200, description: 'The answer', schema: HealthLive }] as const;
  const route = ApiRoute({ operationId: `probe_${method}`, summary: method, answers });
  for (const decorate of [Get(method), route, ...decorators]) {
    decorate(prototype, method, Object.getOwnPropertyDescriptor(prototype, method)!);
  }
}

declare('open', Public());
declare('authenticated');
Controller('probes')(ProbesController);

const register = AppModule.register.bind(AppModule);
AppModule.register = (...parameters) => ({
  ...register(...parameters),
  controllers: [ProbesController],
});

await import('../../../api/dist/main.js');
